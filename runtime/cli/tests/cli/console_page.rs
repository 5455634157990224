//! The console's page in a real browser: what it shows, that it lives, and that anybody can use it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use wisp_proto::v1::EmbedRequest;

use crate::browser::{ENTER, LEFT, Page};
use crate::support::Server;

/// Where pictures of the page are put, for the documentation: `cargo test --test cli console_page` with this variable.
const PICTURES_VARIABLE: &str = "WISP_CONSOLE_PICTURES";

/// How long the page is left alone before its picture is taken for the documentation: as long as its charts go back.
const PICTURE_LIFE: Duration = Duration::from_secs(300);

/// A server, and a browser that has its page open.
fn open(test: &str) -> Option<(Server, Page)> {
    let page = Page::open(test)?;
    let server = Server::start_with_admin(test, &[])?;
    page.look(1280, 900, "light");
    page.go(&format!("http://{}/", server.admin));
    page.wait("document.querySelector('#state').dataset.state === 'ready'");
    Some((server, page))
}

/// Requests one after the other, of changing sizes, until it is dropped.
struct Load {
    is_wanted: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    async fn on(server: &Server, clients: usize) -> Self {
        let is_wanted = Arc::new(AtomicBool::new(true));
        let mut tasks = Vec::new();
        for number in 0..clients {
            let (mut client, is_wanted) = (server.client().await, Arc::clone(&is_wanted));
            tasks.push(tokio::spawn(async move {
                let mut round = number;
                while is_wanted.load(Ordering::Relaxed) {
                    let texts = (0..=round % 5).map(|index| "a ship in the harbour ".repeat(index + 1)).collect();
                    client.embed(EmbedRequest { texts, ..EmbedRequest::default() }).await.expect("embeds");
                    tokio::time::sleep(Duration::from_millis(20 + 150 * (round as u64 / 40 % 3))).await;
                    round += 1;
                }
            }));
        }
        Self { is_wanted, clients: tasks }
    }

    async fn stop(self) {
        self.is_wanted.store(false, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("no request failed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_is_served_and_moves_while_requests_run() {
    let Some((server, page)) = open("the_page_shows_what_is_served_and_moves") else { return };
    let model = page.text(".model");
    for shown in [wisp_testing::MODEL, "Golden vectors", "the lowest of 64 cases", "Shared batches", "in service"] {
        assert!(model.contains(shown), "no `{shown}` in {model}");
    }
    // f32 is exact, int8 is not; which of them serves is what this machine is fastest in.
    assert!(["cosine 0.9", "cosine 1.0"].iter().any(|shown| model.contains(shown)), "{model}");
    let deployment = page.text("[data-deployment=embedder]");
    for shown in ["embedder", "healthy", "builtin:embedder", "encoder", "64\u{202f}MiB"] {
        assert!(deployment.contains(shown), "no `{shown}` in {deployment}");
    }
    assert!(page.text("#facts").starts_with(env!("CARGO_PKG_VERSION")));
    let load = Load::on(&server, 2).await;
    for (tile, what) in [("rate", "requests a second"), ("p50", "the median"), ("wait", "the wait")] {
        page.wait(&format!(
            "parseFloat(document.querySelector('[data-tile={tile}] .value').textContent) > 0 && {what:?}"
        ));
    }
    page.wait("parseInt(document.querySelector('[data-deployment=embedder] .count').innerText.match(/\\d+/)) > 3");
    page.wait("[...document.querySelectorAll('.chart')].filter((chart) => chart.querySelector('.line')).length === 6");
    load.stop().await;
    page.wait("document.querySelector('[data-tile=rate] .value').textContent === '0'");
    page.wait("document.querySelector('[data-tile=p50] .hint').textContent === 'no request'");
    assert_eq!(page.complaints(), Vec::<String>::new());
    server.stop_cleanly();
}

#[test]
fn the_keyboard_alone_reaches_and_does_everything() {
    let Some((server, page)) = open("the_keyboard_alone_reaches_and_does_everything") else { return };
    page.press(crate::browser::TAB);
    assert_eq!(page.run("return document.activeElement.className"), "skip", "the first stop skips the header");
    page.tab_to("#theme");
    page.press(ENTER);
    assert_eq!(page.run("return getComputedStyle(document.documentElement).colorScheme"), "dark");
    page.press(ENTER);
    assert_eq!(page.run("return document.documentElement.dataset.theme ?? 'system'"), "system");

    page.wait("document.querySelectorAll('.chart .base').length === 6");
    page.tab_to(".plot");
    page.wait("document.activeElement.getAttribute('aria-valuetext').includes('answered')");
    page.press(LEFT);
    page.press(LEFT);
    page.wait("parseInt(document.activeElement.getAttribute('aria-valuenow')) < 0");
    assert_eq!(page.run("return document.querySelectorAll('.cursor').length"), 6, "all charts show one time");

    page.tab_to("#embed-texts");
    page.press_with_control("a");
    page.press(&["a bird sings", "birdsong at dawn", "the invoice is overdue"].join(ENTER));
    page.tab_to("button[type=submit]");
    page.press(ENTER);
    let table = page.wait(
        "document.querySelector('.matrix') && [...document.querySelectorAll('.matrix tbody tr')]\
         .map((row) => [...row.querySelectorAll('td')].map((cell) => parseFloat(cell.textContent)))",
    );
    let cosine = |row: usize, column: usize| table[row][column].as_f64().expect("a number");
    assert!((0..3).all(|index| (cosine(index, index) - 1.0).abs() < 1e-9), "{table}");
    assert!(cosine(0, 1) > cosine(0, 2) + 0.2, "{table}");
    assert!(page.text(".stage-list").contains("infer"));

    page.tab_to("#embed-texts");
    page.press_with_control("a");
    page.press("\u{e017}");
    page.press_with_control(ENTER);
    page.wait("document.querySelector('.output .error')?.textContent.includes('the request has no texts')");
    server.stop_cleanly();
}

/// Texts whose colours are too close for WCAG 2.2, level AA, each with its ratio; controls that nobody can name; and how far the
/// page is wider than the window.
const FAULTS: &str = r#"
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const over = (colors) => {
  canvas.clearRect(0, 0, 1, 1);
  for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const light = (rgb) => {
  const [r, g, b] = rgb.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const faults = [];
const seen = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (seen.nextNode()) {
  const node = seen.currentNode.parentElement;
  if (!seen.currentNode.textContent.trim() || !node.checkVisibility() || node.closest("noscript, script, :disabled")) continue;
  const style = getComputedStyle(node);
  const grounds = [];
  for (let at = node; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
  const ink = node instanceof SVGElement ? style.fill : style.color;
  const [a, b] = [light(over([...grounds, ink])), light(over(grounds))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const least = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
  if (ratio < least) faults.push(`${node.className.baseVal ?? node.className} "${seen.currentNode.textContent}" ${ratio.toFixed(2)}`);
}
for (const control of document.querySelectorAll("button, a, input, select, textarea, [tabindex='0']")) {
  const name = control.getAttribute("aria-label") ?? control.labels?.[0]?.textContent ?? control.textContent;
  if (!name.trim()) faults.push(`${control.outerHTML.slice(0, 80)} has no name`);
}
const excess = document.documentElement.scrollWidth - innerWidth;
if (excess > 0) faults.push(`${excess} px too wide`);
return faults;
"#;

#[test]
fn texts_stand_out_and_nothing_overflows_in_either_theme_at_any_width() {
    let Some((server, page)) = open("texts_stand_out_and_nothing_overflows") else { return };
    page.run("document.querySelector('.panel form').requestSubmit()");
    page.wait("document.querySelector('.matrix')");
    page.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })");
    for scheme in ["light", "dark"] {
        for width in [360, 768, 1024, 1280] {
            page.look(width, 900, scheme);
            page.wait(&format!("innerWidth === {width} && matchMedia('(prefers-color-scheme: {scheme})').matches"));
            assert_eq!(page.run(FAULTS), json!([]), "{scheme} at {width}");
        }
    }
    assert_eq!(page.complaints(), Vec::<String>::new());
    server.stop_cleanly();
}

#[test]
fn a_server_that_is_gone_is_said() {
    let Some((server, page)) = open("a_server_that_is_gone_is_said") else { return };
    server.stop_cleanly();
    page.wait("document.querySelector('#state').dataset.state === 'lost'");
    assert!(page.text("#state").contains("Connection lost since"));
}

#[test]
fn a_protected_server_gets_its_token_from_the_person_and_nobody_keeps_it() {
    let test = "a_protected_server_gets_its_token_from_the_person";
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "correct-horse\n").expect("writes");
    let config = folder.path().join("wisp.toml");
    let text = "[tenants.ada]\ntoken_file = \"token\"\nscopes = [\"infer\", \"admin\"]\n";
    std::fs::write(&config, text).expect("writes");
    let Some(page) = Page::open(test) else { return };
    let config = config.display().to_string();
    let Some(server) = Server::start_with_admin(test, &["--config", &config]) else { return };
    page.go(&format!("http://{}/", server.admin));
    let asked = "document.querySelector('#token-dialog').open && document.activeElement.id === 'token'";
    page.wait(asked);
    page.press(&format!("wrong{ENTER}"));
    page.wait("document.querySelector('#token-reason').textContent.includes('was not accepted')");
    page.wait(asked);
    page.press(&format!("correct-horse{ENTER}"));
    page.wait("document.querySelector('#state').dataset.state === 'ready'");
    assert_eq!(page.run("return document.querySelector('#token-dialog').open"), false);
    page.run("document.querySelector('.panel form').requestSubmit()");
    page.wait("document.querySelector('.matrix')");
    let kept = page.run(
        "return JSON.stringify([localStorage, sessionStorage, document.cookie, location.href, document.querySelector('#token').value])",
    );
    assert!(!kept.to_string().contains("horse"), "{kept}");
    page.go(&format!("http://{}/", server.admin));
    page.wait(asked);
    server.stop_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_the_page_are_taken() {
    let Some((server, page)) = open("pictures_of_the_page_are_taken") else { return };
    let wanted = std::env::var_os(PICTURES_VARIABLE).map(PathBuf::from);
    let load = Load::on(&server, 3).await;
    page.run("document.querySelector('.panel form').requestSubmit()");
    page.wait("document.querySelector('.matrix')");
    if wanted.is_some() {
        tokio::time::sleep(PICTURE_LIFE).await;
    }
    let folder = wanted.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned());
    for scheme in ["light", "dark"] {
        page.look(1280, 1000, scheme);
        page.wait(&format!("matchMedia('(prefers-color-scheme: {scheme})').matches"));
        page.wait("document.querySelector('.chart .line') !== null");
        for (part, name) in [("#overview", "console"), ("#playground", "console-playground")] {
            page.run(&format!("document.querySelector({part:?}).scrollIntoView({{ behavior: 'instant' }})"));
            let picture = page.picture();
            assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000, "a picture of something");
            std::fs::write(folder.join(format!("{name}-{scheme}.png")), picture).expect("writable");
        }
    }
    load.stop().await;
    server.stop_cleanly();
}
