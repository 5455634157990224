//! Over REST, with nothing but HTTP: JSON, and binary tensors behind it.

use serde_json::{Value, json};
use wisp_testing::{MODEL, RealModel};

use super::{GOLDEN, IDS, assert_golden, floats, model_inputs, start};

const LENGTH_HEADER: &str = "Inference-Header-Content-Length";

/// Status, what some headers say, and the body.
struct Answer {
    status: u16,
    /// Seconds.
    retry_after: Option<String>,
    /// Where the JSON ends, if something follows.
    json_length: Option<usize>,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        let json = &self.body[..self.json_length.unwrap_or(self.body.len())];
        serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(json)))
    }

    fn error(&self) -> (u16, String) {
        (self.status, self.json()["error"].as_str().unwrap_or_default().to_owned())
    }
}

struct Client {
    agent: ureq::Agent,
    url: String,
}

impl Client {
    fn of(http: &str) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Self { agent, url: format!("http://{http}/v2") }
    }

    fn get(&self, path: &str) -> Answer {
        answer(self.agent.get(format!("{}{path}", self.url)).call().expect("answers"))
    }

    fn post(&self, path: &str, json_length: Option<usize>, body: &[u8]) -> Answer {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if let Some(length) = json_length {
            request = request.header(LENGTH_HEADER, length.to_string());
        }
        answer(request.send(body).expect("answers"))
    }

    fn infer(&self, model: &str, request: &Value) -> Answer {
        self.post(&format!("/models/{model}/infer"), None, request.to_string().as_bytes())
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let header = |name| response.headers().get(name).map(|value| value.to_str().expect("ASCII").to_owned());
    let json_length = header(LENGTH_HEADER).map(|length| length.parse().expect("a number"));
    let retry_after = header("retry-after");
    let body = response.body_mut().with_config().limit(u64::MAX).read_to_vec().expect("a body");
    Answer { status: response.status().as_u16(), retry_after, json_length, body }
}

fn values(output: &Value) -> Vec<f32> {
    let data = output["data"].as_array().expect("a list");
    data.iter().map(|value| value.as_f64().expect("a number") as f32).collect()
}

#[test]
fn json_and_binary_tensors_are_answered_alike() {
    let test = "json_and_binary_tensors_are_answered_alike";
    let (Some(real), Some(server)) = (RealModel::get(test), start(test, &[])) else { return };
    let client = Client::of(&server.http);
    let texts = GOLDEN.map(|index| real.golden.texts[index].as_str());

    let request =
        json!({ "id": "7", "inputs": [{ "name": "texts", "shape": [2], "datatype": "BYTES", "data": texts }] });
    let embedded = client.infer("embedder", &request).json();
    assert_eq!((&embedded["id"], &embedded["model_version"]), (&json!("7"), &json!("1")));
    assert_golden(&real, &values(&embedded["outputs"][0]), &GOLDEN);
    assert_eq!(embedded["outputs"][1]["data"], json!([9, 12]));

    let shape = [IDS.len(), IDS[0].len()];
    let nested = |elements: &[i64]| elements.chunks(shape[1]).map(<[i64]>::to_vec).collect::<Vec<_>>();
    let inputs = model_inputs().map(
        |(name, elements)| json!({ "name": name, "shape": shape, "datatype": "INT64", "data": nested(&elements) }),
    );
    let wanted = json!([{ "name": "sentence_embedding" }]);
    let computed = client.infer(MODEL, &json!({ "inputs": inputs, "outputs": wanted })).json();
    assert_golden(&real, &values(&computed["outputs"][0]), &GOLDEN);

    let inputs = model_inputs().map(|(name, elements)| {
        let parameters = json!({ "binary_data_size": elements.len() * 8 });
        json!({ "name": name, "shape": shape, "datatype": "INT64", "parameters": parameters })
    });
    let mut body = json!({ "inputs": inputs, "parameters": { "binary_data_output": true } }).to_string().into_bytes();
    let length = body.len();
    body.extend(model_inputs().iter().flat_map(|(_, elements)| elements.iter().flat_map(|it| it.to_le_bytes())));
    let answer = client.post(&format!("/models/{MODEL}/versions/1/infer"), Some(length), &body);
    let json = answer.json();
    let sizes: Vec<_> = (0..2).map(|it| json["outputs"][it]["parameters"]["binary_data_size"].as_u64()).collect();
    assert_eq!(sizes, [Some(2 * 12 * 384 * 4), Some(2 * 384 * 4)], "{json}");
    let hidden = 2 * 12 * 384 * 4;
    assert_golden(&real, &floats(&answer.body[answer.json_length.expect("is told") + hidden..]), &GOLDEN);
    server.stop_cleanly();
}

#[test]
fn paths_and_statuses_are_those_of_the_protocol() {
    let test = "paths_and_statuses_are_those_of_the_protocol";
    let Some(server) = start(test, &[]) else { return };
    let client = Client::of(&server.http);
    assert_eq!(client.get("").json()["name"], "wisp");
    assert_eq!(client.get("/health/live").json(), json!({ "live": true }));
    assert_eq!(client.get("/health/ready").json(), json!({ "ready": true }));
    for path in ["", "/versions/1"] {
        assert_eq!(client.get(&format!("/models/embedder{path}")).json()["inputs"][0]["datatype"], "BYTES");
        let ready = client.get(&format!("/models/embedder{path}/ready"));
        assert_eq!((ready.status, ready.json()), (200, json!({ "name": "embedder", "ready": true })));
    }
    for path in ["nobody", "embedder/versions/9"] {
        assert_eq!(client.get(&format!("/models/{path}/ready")).status, 400, "a status of the 400s means not ready");
    }
    assert_eq!(client.get(&format!("/models/{MODEL}/config")).json()["input"][0]["data_type"], "TYPE_INT64");
    let index = client.post("/repository/index", None, b"").json();
    assert_eq!(index[0], json!({ "name": MODEL, "version": "1", "state": "READY", "reason": "" }));
    let (status, message) = client.post(&format!("/repository/models/{MODEL}/unload"), None, b"{}").error();
    assert!(status == 403 && message.starts_with("no tenant may change what is in service"), "{status} {message}");

    let text =
        |data: Value| json!({ "inputs": [{ "name": "texts", "shape": [1], "datatype": "BYTES", "data": data }] });
    for (answer, status, message) in [
        (client.get("/models/nobody"), 404, "model `nobody` does not exist; there is `all-minilm-l6-v2`, `embedder`"),
        (
            client.get("/models/embedder/versions/9"),
            404,
            "model `embedder` has version 1 only, not `9`; leave the version out, or send 1",
        ),
        (
            client.infer("embedder", &text(json!([1]))),
            400,
            "input `texts` is BYTES: its data must be strings, not whole numbers",
        ),
        (client.infer("embedder", &text(json!(["a", "b"]))), 400, "input `texts` of shape [1] needs 1 elements, got 2"),
        (client.infer("embedder", &json!({})), 400, "the body: missing field `inputs` at line 1 column 2"),
        (
            client.post("/models/embedder/infer", Some(99), b"{}"),
            400,
            "inference-header-content-length says 99, and the body has 2 bytes",
        ),
    ] {
        assert_eq!(answer.error(), (status, message.to_owned()));
    }
    let large = vec![b' '; (16 << 20) + 1];
    let (status, message) = client.post("/models/embedder/infer", None, &large).error();
    assert_eq!(
        (status, message.as_str()),
        (413, "the body is larger than 16777216 bytes (server.limits.message_bytes)")
    );
    server.stop_cleanly();
}

#[test]
fn who_asks_for_more_than_there_is_room_for_is_told_when_to_come_back() {
    let test = "who_asks_for_more_than_there_is_room_for_is_told_when_to_come_back";
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("wisp.toml");
    std::fs::write(&config, "[tenants.anonymous]\ninflight_requests = 1\n").expect("writes");
    let Some(server) = start(test, &["--config", &config.display().to_string()]) else { return };
    let texts = vec!["the tide gauge at the harbour mouth reports a rise"; 64];
    let input = json!({ "name": "texts", "shape": [texts.len()], "datatype": "BYTES", "data": texts });
    let (client, request) = (Client::of(&server.http), json!({ "inputs": [input] }));
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| client.infer("embedder", &request))).collect();
        asked.into_iter().map(|asked| asked.join().expect("no panic")).collect()
    });
    let (answered, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!answered.is_empty() && !refused.is_empty(), "{} answered, {} refused", answered.len(), refused.len());
    for answer in refused {
        let (status, message) = answer.error();
        assert!(status == 429 && message.contains("tenant `anonymous`"), "{status} {message}");
        assert_eq!(answer.retry_after.as_deref(), Some("1"));
    }
    server.stop_cleanly();
}
