//! The document and the routes are of the same paths, and everything that the document refers to is in it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::openapi::{Bounds, document};
use super::table;

fn bounds() -> Bounds {
    Bounds {
        texts: 7,
        text_bytes: 4000,
        labels: 5,
        label_bytes: 100,
        image_bytes: 1000,
        endpoints: vec!["embedder".to_owned()],
        classifiers: vec!["topics".to_owned()],
        deployments: vec!["embedder".to_owned(), "other".to_owned()],
        prompts: vec!["query".to_owned()],
        dimensions: Some(384),
        vocabulary: Some(30_522),
    }
}

fn written() -> Value {
    serde_json::to_value(document(&bounds())).expect("is JSON")
}

#[test]
fn every_route_is_in_the_document_and_the_reverse() {
    let document = written();
    let documented: BTreeSet<&str> = document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    let (own, open_inference) = (table(), crate::oip::table());
    let own = own.iter().map(|(path, _)| *path);
    let routed: BTreeSet<&str> = own.chain(open_inference.iter().map(|(path, _)| path.as_str())).collect();
    assert_eq!(documented, routed);
}

#[test]
fn every_operation_has_its_successes_its_refusals_and_a_name() {
    let document = written();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no name"));
            assert!(names.insert(name.to_owned()), "{name} twice");
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.contains_key("200"), "{method} {path}");
            let takes_body = operation.get("requestBody").is_some();
            // The Open Inference Protocol takes whatever type of body, and its index needs neither a deployment nor room.
            let statuses: &[&str] = match path.starts_with("/v2") {
                true => &["400", "401", "408", "413"],
                false => &["400", "401", "404", "408", "413", "415", "429", "503", "504"],
            };
            for &status in statuses {
                assert!(!takes_body || responses.contains_key(status), "{method} {path} lacks {status}");
            }
        }
    }
}

#[test]
fn whatever_is_referred_to_is_there() {
    fn check(document: &Value, value: &Value) -> usize {
        match value {
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| match (key.as_str(), value) {
                    ("$ref", Value::String(place)) => {
                        let pointer = place.strip_prefix('#').unwrap_or_else(|| panic!("{place}"));
                        assert!(document.pointer(pointer).is_some(), "{place} is not there");
                        1
                    }
                    _ => check(document, value),
                })
                .sum(),
            Value::Array(values) => values.iter().map(|value| check(document, value)).sum(),
            _ => 0,
        }
    }
    let document = written();
    assert!(check(&document, &document) > 50);
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", document["openapi"]);
}

#[test]
fn limits_stand_as_constraints() {
    let document = written();
    let schemas = &document["components"]["schemas"];
    let inputs = schemas["Inputs"]["oneOf"].as_array().expect("four forms");
    assert_eq!((&inputs[1]["maxItems"], &inputs[0]["maxLength"]), (&Value::from(7), &Value::from(4000)));
    assert_eq!((&inputs[2]["maxItems"], &inputs[2]["items"]["maximum"]), (&Value::from(1000), &Value::from(30_521)));
    assert_eq!(schemas["TextList"]["maxItems"], 6, "the query is one more");
    assert_eq!(schemas["Dimensions"]["maximum"], 384);
    assert_eq!(schemas["DeploymentName"]["enum"], serde_json::json!(["embedder", "other"]));
    assert_eq!(schemas["ClassifierName"]["enum"], serde_json::json!(["topics"]));
    assert_eq!((&schemas["Labels"]["maxItems"], &schemas["Template"]["maxLength"]), (&5.into(), &100.into()));
    assert_eq!(schemas["ClassificationInputs"]["oneOf"][1]["maxItems"], 7);
    assert_eq!(schemas["PromptName"]["enum"], serde_json::json!(["", "query"]));
}
