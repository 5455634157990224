//! A client of Wisp: embeds texts over gRPC and prints each text's nearest neighbour.
//!
//! The call itself is five lines, in [`embed`]; the rest is reading texts and showing results.

#![forbid(unsafe_code)]

mod neighbours;
mod report;

use std::io::Read;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tonic::transport::Endpoint;
use wisp_proto::v1::inference_service_client::InferenceServiceClient;
use wisp_proto::v1::{EmbedRequest, EmbedResponse};

/// Longest time to wait for the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Largest answer taken, in bytes: some ten thousand embeddings.
const RESPONSE_LIMIT_BYTES: usize = 64 << 20;

/// Embed texts over gRPC and show which are closest to each other.
#[derive(Debug, Parser)]
#[command(name = "embed-client", version)]
struct Arguments {
    /// Address of the server.
    #[arg(long, env = "WISP_ENDPOINT", default_value = "http://127.0.0.1:50051")]
    endpoint: String,
    /// Deployment to call; without it, the server's only one or `embedder`.
    #[arg(long, env = "WISP_DEPLOYMENT", default_value = "")]
    deployment: String,
    /// Texts to embed; `-` reads one a line from standard input.
    #[arg(required = true, value_name = "TEXT")]
    texts: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<String> {
    let texts = read_texts(arguments.texts)?;
    let started = Instant::now();
    let response = embed(&arguments.endpoint, arguments.deployment, texts.clone()).await?;
    let round_trip = started.elapsed();
    ensure!(
        response.embeddings.len() == texts.len(),
        "the server answered {} embeddings for {} texts",
        response.embeddings.len(),
        texts.len()
    );
    Ok(report::render(&texts, &response, round_trip))
}

/// One call: all texts in one message, all embeddings in the answer.
async fn embed(endpoint: &str, deployment: String, texts: Vec<String>) -> Result<EmbedResponse> {
    ensure!(endpoint.starts_with("http://"), "`{endpoint}` is no endpoint; one looks like http://127.0.0.1:50051");
    let channel = Endpoint::from_shared(endpoint.to_owned())
        .with_context(|| format!("`{endpoint}` is no endpoint; one looks like http://127.0.0.1:50051"))?
        .connect_timeout(CONNECT_LIMIT)
        .connect()
        .await
        .with_context(|| format!("cannot reach {endpoint}; is `wisp serve` running there?"))?;
    let mut client = InferenceServiceClient::new(channel).max_decoding_message_size(RESPONSE_LIMIT_BYTES);
    let request = EmbedRequest { deployment, texts, ..EmbedRequest::default() };
    let response = client.embed(request).await.map_err(|status| report::status_error(&status))?;
    Ok(response.into_inner())
}

/// The texts of the command line, with `-` replaced by the lines of standard input.
fn read_texts(arguments: Vec<String>) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for argument in arguments {
        if argument == "-" {
            let mut input = String::new();
            std::io::stdin().read_to_string(&mut input).context("standard input is not UTF-8 text")?;
            texts.extend(input.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        } else {
            texts.push(argument);
        }
    }
    ensure!(!texts.is_empty(), "standard input holds no text");
    Ok(texts)
}
