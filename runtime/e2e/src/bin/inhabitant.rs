//! The Linux program inside the test images: sleeper of a sandbox, sidecar, and what uses up memory or processors.
//!
//! It is compiled statically, because these images hold nothing else.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let number = |text: Option<String>| text.and_then(|text| text.parse::<usize>().ok()).unwrap_or_default();
    match arguments.next().as_deref() {
        None | Some("pause") => sleep_for_good(),
        Some("environment") => {
            show_environment();
            sleep_for_good()
        }
        Some("exit") => return ExitCode::from(u8::try_from(number(arguments.next())).unwrap_or(u8::MAX)),
        Some("fill") => fill_memory(number(arguments.next())),
        Some("spin") => spin(number(arguments.next())),
        Some("read") => return read(arguments),
        Some(other) => eprintln!("`{other}` is none of pause, environment, exit, fill, spin, read"),
    }
    ExitCode::from(2)
}

/// The signal that ends this is SIGKILL, or any that nobody handles, except in a process with the id 1, where it is none.
fn sleep_for_good() {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// One `NAME=value` a line.
fn show_environment() {
    let mut output = std::io::stdout().lock();
    for (name, value) in std::env::vars_os() {
        // When nobody reads the log, there is nobody to tell.
        let _ = writeln!(output, "{}={}", name.to_string_lossy(), value.to_string_lossy());
    }
    let _ = writeln!(output, "end of environment");
}

/// Takes so many MiB, page by page, and keeps them.
fn fill_memory(mib: usize) {
    let mut kept = Vec::new();
    for _ in 0..mib {
        kept.push(vec![1_u8; 1 << 20]);
    }
    println!("filled {mib} MiB, {} of them", kept.len());
    sleep_for_good();
}

/// Keeps so many threads busy.
fn spin(threads: usize) {
    for _ in 0..threads {
        std::thread::spawn(|| {
            let mut value = 1_u64;
            loop {
                value = std::hint::black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
        });
    }
    sleep_for_good();
}

/// Shows how many bytes each file has; the exit code is the number of those that cannot be read.
fn read(paths: impl Iterator<Item = String>) -> ExitCode {
    let mut unreadable = 0;
    for path in paths {
        match std::fs::read(&path) {
            Ok(bytes) => println!("{path}: {} bytes", bytes.len()),
            Err(error) => {
                println!("{path}: {error}");
                unreadable += 1;
            }
        }
    }
    ExitCode::from(unreadable)
}
