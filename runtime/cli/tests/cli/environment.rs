//! What the environment says to flags.

use crate::support;

#[test]
fn a_variable_that_is_empty_is_no_value_for_any_flag() {
    let home = tempfile::tempdir().expect("temporary folder");
    let run = |value: &str| {
        let mut command = support::wisp();
        command.args(["models", "list"]).env("WISP_HOME", home.path());
        for variable in ["WISP_FORMAT", "WISP_LOG", "WISP_LOG_FORMAT", "WISP_OFFLINE", "WISP_CONFIG"] {
            command.env(variable, value);
        }
        let output = command.output().expect("the binary starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(run(""), (Some(0), String::new()));
    let (code, error) = run("nonsense");
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("'nonsense'"), "{error}");
}
