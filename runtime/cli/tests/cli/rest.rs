//! REST as clients meet it: OpenAI's API, that of text-embeddings-inference, and what both say to bad requests.

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::HeaderMap;
use wisp_testing::cosine;

use crate::support::{Server, get, sample};

const CAT: &str = "A cat sleeps on the sofa.";
const KITTEN: &str = "The kitten is napping on the couch.";
const SHARES: &str = "Share prices fell on Tuesday.";

/// The same arithmetic for every request, however many rows meet in a batch.
const EXACT: [&str; 4] = ["--backend", "ort", "--precision", "f32"];

/// An answer: status, headers and body.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).build().into()
}

/// Sends bytes as a body of this type.
fn send(server: &Server, path: &str, content_type: &str, body: &[u8]) -> Answer {
    let request = agent().post(format!("http://{}{path}", server.http)).header("content-type", content_type);
    answer(request.send(body).expect("answers"))
}

fn post(server: &Server, path: &str, body: &Value) -> Answer {
    send(server, path, "application/json", body.to_string().as_bytes())
}

fn fetch(server: &Server, path: &str) -> Answer {
    answer(agent().get(format!("http://{}{path}", server.http)).call().expect("answers"))
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.body_mut().read_to_string().expect("UTF-8");
    Answer { status, headers, body: serde_json::from_str(&body).unwrap_or(Value::String(body)) }
}

fn floats(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).expect("numbers")
}

#[test]
fn openais_api_embeds_every_form_of_input() {
    let Some(server) = Server::start("openais_api_embeds_every_form_of_input", &EXACT) else { return };
    let embed = |body: Value| post(&server, "/v1/embeddings", &body);
    let both = embed(json!({"model": "embedder", "input": [CAT, SHARES], "user": "somebody", "unknown": [1]}));
    assert_eq!((both.status, &both.body["object"], &both.body["model"]), (200, &json!("list"), &json!("embedder")));
    assert_eq!(both.body["data"][1]["index"], 1);
    assert_eq!(both.body["usage"]["prompt_tokens"], both.body["usage"]["total_tokens"]);
    for header in ["x-total-time", "x-queue-time", "x-inference-time", "x-compute-tokens", "x-compute-type"] {
        assert!(both.headers.contains_key(header), "{header}");
    }
    let inference = both.headers["x-inference-time"].to_str().expect("a number");
    assert!(inference.contains('.') && inference.parse::<f64>().is_ok_and(|time| time > 0.0), "{inference}");
    let expected = floats(&both.body["data"][0]["embedding"]);
    assert_eq!(expected.len(), 384);

    let ids = post(&server, "/tokenize", &json!({ "inputs": CAT }));
    let ids: Vec<Value> = ids.body[0].as_array().expect("tokens").iter().map(|token| token["id"].clone()).collect();
    for input in [json!(CAT), json!([CAT]), json!(ids), json!([ids])] {
        let answer = embed(json!({ "input": input }));
        assert_eq!((answer.status, answer.body["data"].as_array().map(Vec::len)), (200, Some(1)), "{input}");
        assert!(cosine(&floats(&answer.body["data"][0]["embedding"]), &expected) > 0.999_99, "{input}");
    }
    let short = embed(json!({"input": CAT, "dimensions": 64}));
    assert_eq!(floats(&short.body["data"][0]["embedding"]).len(), 64);
    let packed = embed(json!({"input": CAT, "encoding_format": "base64"}));
    let packed = packed.body["data"][0]["embedding"].as_str().expect("base64").to_owned();
    assert_eq!(packed.len(), (384_usize * 4).div_ceil(3) * 4);

    let models = fetch(&server, "/v1/models");
    assert_eq!((models.status, &models.body["data"][0]["id"]), (200, &json!("embedder")));
    assert_eq!(fetch(&server, "/v1/models/embedder").body["object"], "model");
    let unknown = fetch(&server, "/v1/models/nobody");
    assert_eq!((unknown.status, &unknown.body["error"]["code"]), (404, &json!("model_not_found")));
    server.stop_cleanly();
}

#[test]
fn tei_embeds_ranks_compares_and_tokenizes() {
    let Some(server) = Server::start("tei_embeds_ranks_compares_and_tokenizes", &EXACT) else { return };
    let call = |path: &str, body: Value| {
        let answer = post(&server, path, &body);
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.body);
        answer.body
    };
    let vectors =
        call("/embed", json!({"inputs": [CAT, KITTEN], "truncation_direction": "Right", "prompt_name": null}));
    let (cat, kitten) = (floats(&vectors[0]), floats(&vectors[1]));
    let length = |vector: &[f32]| vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    assert!((length(&cat) - 1.0).abs() < 1e-3);
    let raw = floats(&call("/embed", json!({"inputs": CAT, "normalize": false}))[0]);
    assert!((length(&raw) - 1.0).abs() > 0.1 && cosine(&raw, &cat) > 0.999_9, "{}", length(&raw));
    let cosine_of_both = cosine(&cat, &kitten);

    let texts = json!([SHARES, KITTEN]);
    let ranks = call("/rerank", json!({"query": CAT, "texts": texts, "raw_scores": true, "return_text": true}));
    assert_eq!((&ranks[0]["index"], &ranks[0]["text"]), (&json!(1), &json!(KITTEN)));
    assert!((ranks[0]["score"].as_f64().expect("a score") - cosine_of_both).abs() < 1e-4, "{ranks}");
    let moved = call("/rerank", json!({"query": CAT, "texts": texts}));
    assert!((moved[0]["score"].as_f64().expect("a score") - (1.0 + cosine_of_both) / 2.0).abs() < 1e-4, "{moved}");
    assert!(moved[0].get("text").is_none(), "{moved}");
    let inputs = json!({"source_sentence": CAT, "sentences": [SHARES, KITTEN]});
    let similar = floats(&call("/similarity", json!({ "inputs": inputs })));
    assert!((f64::from(similar[1]) - cosine_of_both).abs() < 1e-4 && similar[0] < similar[1], "{similar:?}");

    let tokens = call("/tokenize", json!({"inputs": ["A cat"]}));
    assert_eq!(tokens[0][0], json!({"id": 101, "text": "[CLS]", "special": true, "start": null, "stop": null}));
    assert_eq!(tokens[0][2], json!({"id": 4937, "text": "cat", "special": false, "start": 2, "stop": 5}));
    assert_eq!(call("/decode", json!({"ids": [101, 4937, 102]})), json!(["cat"]));
    let whole = call("/decode", json!({"ids": [[101, 4937, 102], [3899]], "skip_special_tokens": false}));
    assert_eq!(whole, json!(["[CLS] cat [SEP]", "dog"]));

    let info = fetch(&server, "/info").body;
    assert_eq!((&info["model_id"], &info["max_input_length"]), (&json!("all-minilm-l6-v2"), &json!(256)));
    assert_eq!((&info["model_type"]["embedding"]["pooling"], &info["model_dtype"]), (&json!("mean"), &json!("f32")));
    assert_eq!((fetch(&server, "/health").status, fetch(&server, "/info?model=nobody").status), (200, 404));
    server.stop_cleanly();
}

/// What a request is answered with in both APIs: path, body, status, and a part of the message.
const BAD: &[(&str, &str, u16, &str)] = &[
    ("/v1/embeddings", "", 400, "the body is not JSON: EOF"),
    ("/v1/embeddings", "{", 400, "the body is not JSON: EOF"),
    ("/v1/embeddings", r#"{"input": NaN}"#, 400, "the body is not JSON: input: expected value"),
    ("/v1/embeddings", r#"{"input": "a"} x"#, 400, "trailing characters"),
    ("/v1/embeddings", "[]", 400, "the body is a list; send an object"),
    ("/v1/embeddings", "{}", 400, "missing field `input`"),
    ("/v1/embeddings", r#"{"input": 7}"#, 400, "expected a text, a list of texts"),
    ("/v1/embeddings", r#"{"input": ["a", null]}"#, 400, "input[1]: invalid type: null, expected a string"),
    ("/v1/embeddings", r#"{"input": [[1], [-1]]}"#, 400, "input[1][0]: invalid value: integer `-1`"),
    ("/v1/embeddings", r#"{"input": [1e400]}"#, 400, "number out of range"),
    ("/v1/embeddings", r#"{"input": []}"#, 400, "the request has no texts"),
    ("/v1/embeddings", r#"{"input": ["a", "\t "]}"#, 400, "text 1 is empty or blank"),
    ("/v1/embeddings", r#"{"input": [[]]}"#, 400, "token list 0 is empty"),
    ("/v1/embeddings", r#"{"input": [30522]}"#, 400, "token 0 of list 0 is 30522"),
    ("/v1/embeddings", r#"{"input": "a", "dimensions": 0}"#, 400, "dimensions"),
    ("/v1/embeddings", r#"{"input": "a", "dimensions": 385}"#, 400, "385"),
    (
        "/v1/embeddings",
        r#"{"input": "a", "dimensions": 4294967296}"#,
        400,
        "dimensions: invalid value: integer `4294967296`",
    ),
    (
        "/v1/embeddings",
        r#"{"input": "a", "encoding_format": "int8"}"#,
        400,
        "unknown variant `int8`, expected `float` or `base64`",
    ),
    (
        "/v1/embeddings",
        r#"{"input": "a", "model": "nobody"}"#,
        404,
        "deployment `nobody` does not exist; there is `embedder`",
    ),
    (
        "/v1/embeddings",
        r#"{"input": "a", "prompt_name": "query"}"#,
        400,
        "prompt `query` does not exist; the model has no prompts",
    ),
    ("/embed", "{", 400, "the body is not JSON: EOF"),
    ("/embed", r#"{"inputs": 7}"#, 422, "inputs: invalid type: integer `7`, expected a text"),
    ("/embed", r#"{"inputs": []}"#, 400, "the request has no texts"),
    ("/embed", r#"{"inputs": ""}"#, 422, "text 0 is empty or blank"),
    ("/embed", r#"{"inputs": "a", "normalize": 1}"#, 422, "normalize: invalid type: integer `1`, expected a boolean"),
    (
        "/embed",
        r#"{"inputs": "a", "truncation_direction": "left"}"#,
        422,
        "truncation_direction: texts are cut at their end",
    ),
    ("/embed", r#"{"inputs": "a", "truncation_direction": "up"}"#, 422, "unknown variant `up`"),
    ("/embed", r#"{"inputs": "a", "dimensions": 4096}"#, 422, "4096"),
    ("/embed", r#"{"inputs": "a", "model": "nobody"}"#, 404, "deployment `nobody`"),
    ("/rerank", r#"{"query": "a"}"#, 422, "missing field `texts`"),
    ("/rerank", r#"{"query": " ", "texts": ["a"]}"#, 422, "the query is empty or blank"),
    ("/rerank", r#"{"query": "a", "texts": []}"#, 400, "the request has no texts"),
    ("/rerank", r#"{"query": "a", "texts": ["a", ""]}"#, 422, "text 1 is empty"),
    ("/similarity", r#"{"inputs": {"source_sentence": "a"}}"#, 422, "inputs: missing field `sentences`"),
    ("/tokenize", r#"{"inputs": [1]}"#, 422, "inputs[0]: invalid type: integer `1`, expected a string"),
    ("/decode", r#"{"ids": ["a"]}"#, 422, "expected a list of token ids"),
    ("/decode", r#"{"ids": [99999]}"#, 422, "token 0 of list 0 is 99999"),
    ("/decode", r#"{"ids": []}"#, 422, "the request has no token lists"),
];

#[test]
fn every_bad_request_is_told_what_is_wrong_and_the_next_one_works() {
    let test = "every_bad_request_is_told_what_is_wrong_and_the_next_one_works";
    let Some(server) = Server::start(test, &[]) else { return };
    for &(path, body, status, part) in BAD {
        let answer = send(&server, path, "application/json", body.as_bytes());
        let message = match path.starts_with("/v1/") {
            true => &answer.body["error"]["message"],
            false => &answer.body["error"],
        };
        let message = message.as_str().unwrap_or_else(|| panic!("{path} {body}: {}", answer.body));
        assert!(answer.status == status && message.contains(part), "{path} {body}: {} {message}", answer.status);
        assert_eq!(post(&server, "/embed", &json!({"inputs": "the next one"})).status, 200, "after {path} {body}");
    }
    let not_utf8 = send(&server, "/embed", "application/json", b"{\"inputs\": \"\xff\"}");
    assert_eq!(not_utf8.status, 400, "{}", not_utf8.body);
    let form = send(&server, "/embed", "application/x-www-form-urlencoded", b"inputs=a");
    assert!(form.status == 415 && form.body["error"].as_str().is_some_and(|error| error.contains("application/json")));
    let long = json!({"inputs": "word ".repeat(300), "truncate": false});
    let long = post(&server, "/embed", &long);
    assert_eq!((long.status, &long.body["error_type"]), (422, &json!("Validation")), "{}", long.body);
    let nothing = fetch(&server, "/nothing");
    assert_eq!(nothing.status, 404);
    server.stop_cleanly();
}

#[test]
fn limits_hold_and_are_told_by_name() {
    let test = "limits_hold_and_are_told_by_name";
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("wisp.toml");
    std::fs::write(&config, "[server.limits]\nmessage_bytes = 4000\ntexts = 3\ntext_bytes = 1000\n").expect("writes");
    let Some(server) = Server::start(test, &["--config", &config.display().to_string()]) else { return };
    for (path, body, name) in [
        ("/embed", json!({"inputs": "x".repeat(5000)}), "server.limits.message_bytes"),
        ("/v1/embeddings", json!({"input": "x".repeat(5000)}), "server.limits.message_bytes"),
        ("/embed", json!({"inputs": "x".repeat(1001)}), "server.limits.text_bytes"),
        ("/embed", json!({"inputs": vec![1; 251]}), "server.limits.text_bytes"),
        ("/tokenize", json!({"inputs": ["x".repeat(600), "x".repeat(600)]}), "server.limits.text_bytes"),
        ("/embed", json!({"inputs": ["a", "b", "c", "d"]}), "server.limits.texts"),
        ("/rerank", json!({"query": "a", "texts": ["b", "c", "d"]}), "server.limits.texts"),
        ("/v1/embeddings", json!({"input": ["a", "b", "c", "d"]}), "server.limits.texts"),
    ] {
        let answer = post(&server, path, &body);
        assert!(
            answer.status == 413 && answer.body.to_string().contains(name),
            "{path}: {} {}",
            answer.status,
            answer.body
        );
    }
    let document = fetch(&server, "/openapi.json").body;
    let texts = &document["components"]["schemas"]["Inputs"]["oneOf"][1];
    assert_eq!((&texts["maxItems"], &texts["items"]["maxLength"]), (&json!(3), &json!(1000)));
    server.stop_cleanly();
}

#[test]
fn tokens_tell_tenants_and_wrong_ones_are_challenged() {
    let test = "tokens_tell_tenants_and_wrong_ones_are_challenged";
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "s3cret\n").expect("writes");
    let config = folder.path().join("wisp.toml");
    std::fs::write(&config, "[tenants.search]\ntoken_file = \"token\"\n").expect("writes");
    let Some(server) = Server::start(test, &["--config", &config.display().to_string()]) else { return };
    let with = |path: &str, authorization: &str| {
        let request = agent().post(format!("http://{}{path}", server.http)).header("authorization", authorization);
        let body = json!({"inputs": "a", "input": "a"}).to_string();
        answer(request.header("content-type", "application/json").send(body).expect("answers"))
    };
    for path in ["/embed", "/v1/embeddings"] {
        assert_eq!(with(path, "Bearer s3cret").status, 200, "{path}");
        for wrong in ["Bearer nobody's", "Basic s3cret"] {
            let refused = with(path, wrong);
            assert_eq!(
                (refused.status, &refused.headers["www-authenticate"]),
                (401, &"Bearer".parse().expect("ASCII"))
            );
        }
    }
    assert_eq!(with("/v1/embeddings", "Bearer nobody's").body["error"]["code"], "invalid_api_key");
    server.stop_cleanly();
}

#[test]
fn what_there_is_no_room_for_is_told_when_to_come_back() {
    let test = "what_there_is_no_room_for_is_told_when_to_come_back";
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("wisp.toml");
    let text = "[server.limits]\ninflight_requests = 1\n\
        [models.all-minilm-l6-v2]\nplacement = [\"candle:cpu\"]\nprecision = \"f32\"\n\
        [deployments.embedder]\nguest = \"builtin:embedder\"\nmodels = { encoder = \"all-minilm-l6-v2\" }\n\
        limits = { wall_ms = 600000 }\n";
    std::fs::write(&config, text).expect("writes");
    let Some(server) = Server::start_with_admin(test, &["--config", &config.display().to_string()]) else { return };
    // A connection that is closed in the middle: the place must be free again.
    let body = json!({"inputs": vec!["harbour ".repeat(200); 1500]}).to_string();
    let mut holder = std::net::TcpStream::connect(&server.http).expect("listens");
    let head = format!(
        "POST /embed HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    std::io::Write::write_all(&mut holder, head.as_bytes()).expect("sends");
    std::io::Write::write_all(&mut holder, body.as_bytes()).expect("sends");
    let inflight = || sample(&get(&server.admin, "/metrics"), "wisp_inflight_requests", &[]);
    while inflight() < 1.0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for path in ["/embed", "/v1/embeddings", "/rerank"] {
        // Not even JSON: it is refused before its body is read.
        let refused = send(&server, path, "application/json", b"{");
        assert_eq!(refused.status, 429, "{path}: {}", refused.body);
        let seconds: u64 =
            refused.headers["retry-after"].to_str().ok().and_then(|value| value.parse().ok()).expect("seconds");
        assert!(seconds >= 1 && refused.headers.contains_key("retry-after-ms"), "{path}");
    }
    drop(holder);
    while inflight() > 0.0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(post(&server, "/embed", &json!({"inputs": "a"})).status, 200);
    server.stop_cleanly();
}

#[test]
fn the_document_has_every_method_that_is_answered_and_no_other() {
    let test = "the_document_has_every_method_that_is_answered_and_no_other";
    let Some(server) = Server::start(test, &[]) else { return };
    let document = fetch(&server, "/openapi.json").body;
    let paths = document["paths"].as_object().expect("paths").clone();
    assert!(paths.len() >= 11, "{}", paths.len());
    for (path, item) in paths {
        let named = path.replace("{id}", "embedder").replace("{model}", "embedder").replace("{version}", "1");
        let url = format!("http://{}{named}", server.http);
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let request = ureq::http::Request::builder().method(method).uri(&url).body(()).expect("a request");
            let answer = answer(agent().run(request).expect("answers"));
            let is_documented = item.get(method.to_lowercase()).is_some();
            assert_ne!(answer.status, 404, "{method} {path}");
            assert_eq!(answer.status != 405, is_documented, "{method} {path}: {}", answer.status);
            assert!(is_documented || answer.headers.contains_key("allow"), "{method} {path}");
        }
    }
    server.stop_cleanly();
}
