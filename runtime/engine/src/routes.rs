//! Which HTTP application answers which paths.

/// Routes, the longest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Routes(Vec<(String, String)>);

impl Routes {
    /// The routes of applications, given by name and configured route.
    ///
    /// # Errors
    /// In one line, when it is not clear who answers.
    pub(crate) fn of<'a>(applications: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Result<Self, String> {
        let applications: Vec<_> = applications.collect();
        let mut routes: Vec<(String, String)> = Vec::new();
        for (name, route) in &applications {
            let route = match route {
                Some(route) => *route,
                None if applications.len() == 1 => "/",
                None => {
                    return Err(format!(
                        "deployment `{name}` serves HTTP beside others and has no route; add, for example, \
                         route = \"/{name}\" under [deployments.{name}]"
                    ));
                }
            };
            if let Some((_, other)) = routes.iter().find(|(known, _)| known == route) {
                return Err(format!("deployments `{other}` and `{name}` both have the route \"{route}\"; change one"));
            }
            routes.push((route.to_owned(), (*name).to_owned()));
        }
        routes.sort_by_key(|(route, _)| std::cmp::Reverse(route.len()));
        Ok(Self(routes))
    }

    /// The deployment with the longest route that the path begins with, at the boundary of a segment.
    pub(crate) fn find(&self, path: &str) -> Option<&str> {
        let begins = |route: &str| {
            route == "/" || path.strip_prefix(route).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.0.iter().find(|(route, _)| begins(route)).map(|(_, name)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(applications: &[(&str, Option<&str>)]) -> Result<Routes, String> {
        Routes::of(applications.iter().copied())
    }

    #[test]
    fn a_single_application_answers_everything() {
        let routes = routes(&[("only", None)]).expect("is clear");
        assert_eq!((routes.find("/"), routes.find("/any/path")), (Some("only"), Some("only")));
    }

    #[test]
    fn the_longest_route_answers_at_the_boundary_of_a_segment() {
        let routes = routes(&[("root", Some("/")), ("search", Some("/search")), ("deep", Some("/search/deep"))]);
        let routes = routes.expect("is clear");
        for (path, name) in
            [("/search", "search"), ("/search/x", "search"), ("/searching", "root"), ("/search/deep/x", "deep")]
        {
            assert_eq!(routes.find(path), Some(name), "{path}");
        }
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        let error = routes(&[("a", Some("/a")), ("b", None)]).expect_err("b has none");
        assert!(error.contains("deployment `b` serves HTTP beside others"), "{error}");
        let error = routes(&[("a", Some("/x")), ("b", Some("/x"))]).expect_err("the same");
        assert!(error.contains("deployments `a` and `b` both have the route \"/x\""), "{error}");
        assert_eq!(routes(&[("a", Some("/a"))]).expect("is clear").find("/b"), None);
    }
}
