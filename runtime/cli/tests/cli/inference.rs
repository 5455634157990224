//! `wisp.v1` beyond plain texts: encodings, token ids, prompts, streams, ranking, tokens.

use half::f16;
use tonic::{Code, Streaming};
use wisp_proto::v1::embed_stream_response::Outcome;
use wisp_proto::v1::{
    DecodeRequest, EmbedRequest, EmbedStreamResponse, Encoding, RerankRequest, TokenIds, TokenizeRequest,
};
use wisp_testing::cosine;

use crate::pod::{CANDLE_FILES, model_volume};
use crate::support::Server;

const TEXTS: [&str; 3] = ["A cat sleeps on the sofa.", "The kitten is napping.", "Share prices fell."];

/// The same arithmetic for every request, however many rows meet in a batch.
const EXACT: [&str; 4] = ["--backend", "ort", "--precision", "f32"];

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn request(list: &[&str]) -> EmbedRequest {
    EmbedRequest { texts: texts(list), ..EmbedRequest::default() }
}

#[tokio::test]
async fn every_encoding_carries_the_same_vectors() {
    let Some(server) = Server::start("every_encoding_carries_the_same_vectors", &EXACT) else { return };
    let mut client = server.client().await;
    let mut encoded = async |encoding: Encoding| {
        let message = EmbedRequest { encoding: encoding.into(), ..request(&TEXTS) };
        client.embed(message).await.expect("embeds").into_inner()
    };
    let floats = encoded(Encoding::Float).await;
    assert_eq!((floats.dimensions, floats.embeddings[0].values.len()), (384, 384));
    let packed = encoded(Encoding::PackedF32).await;
    let halves = encoded(Encoding::PackedF16).await;
    let bytes = encoded(Encoding::PackedInt8).await;
    let bits = encoded(Encoding::PackedBinary).await;
    for (index, embedding) in floats.embeddings.iter().enumerate() {
        let exact: Vec<f32> = packed.embeddings[index]
            .packed
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().expect("4")))
            .collect();
        assert!(cosine(&exact, &embedding.values) > 0.999_999, "text {index}");
        assert!(packed.embeddings[index].values.is_empty());
        let half: Vec<f32> = halves.embeddings[index]
            .packed
            .chunks_exact(2)
            .map(|b| f16::from_le_bytes(b.try_into().expect("2")).into())
            .collect();
        assert!(cosine(&half, &embedding.values) > 0.999_99, "text {index}");
        let int8 = &bytes.embeddings[index];
        let scaled: Vec<f32> = int8.packed.iter().map(|&b| f32::from(b.cast_signed()) * int8.scale).collect();
        assert!(cosine(&scaled, &embedding.values) > 0.999, "text {index}");
        let binary = &bits.embeddings[index];
        assert_eq!((binary.packed.len(), binary.tokens), (48, embedding.tokens));
        let agree = embedding.values.iter().enumerate().filter(|(place, value)| {
            let bit = binary.packed[place / 8] >> (7 - place % 8) & 1;
            (bit == 1) == (**value > 0.0)
        });
        // Values next to 0 may round to the other side in another batch.
        assert!(agree.count() >= 382, "text {index}");
    }
    let unknown = EmbedRequest { encoding: 9, ..request(&TEXTS) };
    let status = client.embed(unknown).await.expect_err("9 is no encoding");
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "encoding 9 does not exist"));
    server.stop_cleanly();
}

#[tokio::test]
async fn token_ids_embed_as_the_text_that_they_stand_for() {
    let Some(server) = Server::start("token_ids_embed_as_the_text_that_they_stand_for", &EXACT) else { return };
    let mut client = server.client().await;
    let tokenized = client.tokenize(TokenizeRequest { texts: texts(&TEXTS), ..TokenizeRequest::default() }).await;
    let tokenized = tokenized.expect("tokenizes").into_inner();
    assert_eq!(tokenized.max_tokens, 256);
    let rows: Vec<_> = tokenized.texts.iter().map(|tokens| TokenIds { ids: tokens.ids.clone() }).collect();
    let of_tokens = EmbedRequest { tokens: rows.clone(), ..EmbedRequest::default() };
    let of_tokens = client.embed(of_tokens).await.expect("embeds").into_inner();
    let of_texts = client.embed(request(&TEXTS)).await.expect("embeds").into_inner();
    for (a, b) in of_tokens.embeddings.iter().zip(&of_texts.embeddings) {
        assert!(cosine(&a.values, &b.values) > 0.999_99);
        assert_eq!(a.tokens, b.tokens);
    }

    let tokens = &tokenized.texts[0];
    assert_eq!((tokens.count as usize, tokens.ids[0], tokens.ids.last()), (tokens.ids.len(), 101, Some(&102)));
    assert_eq!((tokens.starts[0], tokens.ends[0]), (0, 0), "[CLS] stands nowhere");
    let word = &TEXTS[0][tokens.starts[2] as usize..tokens.ends[2] as usize];
    assert_eq!(word, "cat");
    let bare =
        TokenizeRequest { texts: texts(&["cat"]), add_special_tokens: Some(false), ..TokenizeRequest::default() };
    assert_eq!(client.tokenize(bare).await.expect("tokenizes").into_inner().texts[0].count, 1);

    let decoded = client.decode(DecodeRequest { tokens: rows.clone(), ..DecodeRequest::default() }).await;
    assert_eq!(decoded.expect("decodes").into_inner().texts[0], "a cat sleeps on the sofa.");
    let whole = DecodeRequest { tokens: rows, skip_special_tokens: Some(false), ..DecodeRequest::default() };
    let whole = client.decode(whole).await.expect("decodes").into_inner();
    assert!(whole.texts[0].starts_with("[CLS] a cat"), "{:?}", whole.texts);

    let row = |ids: &[u32]| TokenIds { ids: ids.to_vec() };
    for (tokens, texts, expected) in [
        (
            vec![row(&[101, 99_999, 102])],
            vec![],
            "token 1 of list 0 is 99999; the ids of model `all-minilm-l6-v2` are below 30522",
        ),
        (vec![row(&[101]), row(&[])], vec![], "token list 1 is empty"),
        (vec![row(&[101])], texts(&["a"]), "the request has texts and tokens; send one of the two"),
    ] {
        let status = client.embed(EmbedRequest { tokens, texts, ..EmbedRequest::default() }).await.expect_err(expected);
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(expected), "{status}");
    }
    let unknown = DecodeRequest { tokens: vec![row(&[30_522])], ..DecodeRequest::default() };
    assert_eq!(client.decode(unknown).await.expect_err("beyond").code(), Code::InvalidArgument);
    let much = TokenizeRequest { texts: vec!["x ".repeat(400_000); 2], ..TokenizeRequest::default() };
    let status = client.tokenize(much).await.expect_err("too much");
    assert!(status.message().contains("1600000 bytes together") && status.code() == Code::InvalidArgument, "{status}");
    client.embed(request(&TEXTS)).await.expect("goes on");
    server.stop_cleanly();
}

#[tokio::test]
async fn prompts_of_the_manifest_stand_before_texts() {
    let test = "prompts_of_the_manifest_stand_before_texts";
    let Some(real) = wisp_testing::RealModel::get(test) else { return };
    let volume = tempfile::tempdir().expect("a folder");
    model_volume(&real, volume.path(), &CANDLE_FILES);
    let manifest = volume.path().join("model.toml");
    let text = std::fs::read_to_string(&manifest).expect("is there");
    let prompts = "[prompts]\nquery = \"query: \"\npassage = \"passage: \"\n";
    std::fs::write(&manifest, format!("default_prompt = \"passage\"\n{text}\n{prompts}")).expect("writable");
    let config = volume.path().join("wisp.toml");
    let text = format!(
        "[models.m]\nsource = \"{}\"\nplacement = [\"candle:cpu\"]\nprecision = \"f32\"\n\
         [deployments.embedder]\nguest = \"builtin:embedder\"\nmodels = {{ encoder = \"m\" }}\n",
        volume.path().display()
    );
    std::fs::write(&config, text).expect("writable");
    let Some(server) = Server::start(test, &["--config", &config.display().to_string()]) else { return };
    let mut client = server.client().await;
    let mut embed = async |list: &[&str], prompt: Option<&str>| {
        let message = EmbedRequest { prompt_name: prompt.map(str::to_owned), ..request(list) };
        client.embed(message).await.map(|answer| answer.into_inner().embeddings.remove(0).values)
    };
    let as_query = embed(&["where is the cat"], Some("query")).await.expect("embeds");
    let spelled_out = embed(&["query: where is the cat"], Some("")).await.expect("embeds");
    assert!(cosine(&as_query, &spelled_out) > 0.999_99);
    let by_default = embed(&["where is the cat"], None).await.expect("embeds");
    let as_passage = embed(&["where is the cat"], Some("passage")).await.expect("embeds");
    assert!(cosine(&by_default, &as_passage) > 0.999_99 && cosine(&by_default, &as_query) < 0.999);
    let status = embed(&["a"], Some("document")).await.expect_err("there is none");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "prompt `document` does not exist; the model has `passage`, `query`");
    let tokens = vec![TokenIds { ids: vec![101, 102] }];
    let message = EmbedRequest { tokens, prompt_name: Some("query".to_owned()), ..EmbedRequest::default() };
    let status = client.embed(message).await.expect_err("of tokens");
    assert!(status.message().starts_with("prompt `query` cannot be put before token ids"), "{status}");
    server.stop_cleanly();
}

async fn next(answers: &mut Streaming<EmbedStreamResponse>) -> Outcome {
    let answer = answers.message().await.expect("goes on").expect("one more");
    answer.outcome.expect("an outcome")
}

#[tokio::test]
async fn a_stream_answers_in_order_and_goes_on_after_an_error() {
    let Some(server) = Server::start("a_stream_answers_in_order_and_goes_on_after_an_error", &EXACT) else { return };
    let mut client = server.client().await;
    let alone = client.embed(request(&TEXTS)).await.expect("embeds").into_inner();
    let long = "harbour ".repeat(200);
    let messages = vec![
        request(&vec![long.as_str(); 16]),
        request(&[TEXTS[0]]),
        request(&[]),
        EmbedRequest { deployment: "nobody".to_owned(), ..request(&["a"]) },
        request(&[TEXTS[1], TEXTS[2]]),
    ];
    let mut answers = client.embed_stream(tokio_stream::iter(messages)).await.expect("begins").into_inner();
    let Outcome::Response(first) = next(&mut answers).await else { panic!("the first is answered") };
    assert_eq!(first.embeddings.len(), 16);
    let Outcome::Response(second) = next(&mut answers).await else { panic!("the second is answered") };
    assert!(cosine(&second.embeddings[0].values, &alone.embeddings[0].values) > 0.999_99);
    for (code, message) in
        [(Code::InvalidArgument, "the request has no texts"), (Code::NotFound, "deployment `nobody`")]
    {
        let Outcome::Error(error) = next(&mut answers).await else { panic!("an error in its place") };
        assert!(error.code == code as i32 && error.message.starts_with(message), "{error:?}");
        assert_eq!(error.retry_after_ns, None);
    }
    let Outcome::Response(last) = next(&mut answers).await else { panic!("the stream goes on") };
    for (a, b) in last.embeddings.iter().zip(&alone.embeddings[1..]) {
        assert!(cosine(&a.values, &b.values) > 0.999_99);
    }
    assert!(answers.message().await.expect("ends well").is_none());
    server.stop_cleanly();
}

#[tokio::test]
async fn a_stream_ends_with_the_status_of_what_concerns_all_of_it() {
    let test = "a_stream_ends_with_the_status_of_what_concerns_all_of_it";
    let Some(server) = Server::start(test, &EXACT) else { return };
    let mut client = server.client().await;
    let too_large = request(&["x".repeat(17 << 20).as_str()]);
    let messages = tokio_stream::iter([request(&[TEXTS[0]]), too_large]);
    let mut answers = client.embed_stream(messages).await.expect("begins").into_inner();
    assert!(matches!(next(&mut answers).await, Outcome::Response(_)));
    let status = answers.message().await.expect_err("is too large");
    assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status}");
    client.embed(request(&TEXTS)).await.expect("the connection goes on");
    server.stop_cleanly();
}

#[tokio::test]
async fn documents_are_ranked_by_the_cosine_of_their_embeddings() {
    let Some(server) = Server::start("documents_are_ranked_by_the_cosine_of_their_embeddings", &EXACT) else { return };
    let mut client = server.client().await;
    let query = "Where does the cat sleep?";
    let documents = texts(&[TEXTS[2], TEXTS[0], TEXTS[1]]);
    let message = RerankRequest { query: query.to_owned(), documents, ..RerankRequest::default() };
    let ranked = client.rerank(message.clone()).await.expect("ranks").into_inner();
    let order: Vec<_> = ranked.ranking.iter().map(|ranked| ranked.index).collect();
    assert_eq!(order, [1, 2, 0]);
    let embedded = client.embed(request(&[query, TEXTS[0]])).await.expect("embeds").into_inner().embeddings;
    let expected = cosine(&embedded[0].values, &embedded[1].values);
    assert!((f64::from(ranked.ranking[0].score) - expected).abs() < 1e-4, "{ranked:?}");
    assert!(ranked.usage.expect("usage").tokens > 20 && ranked.placement.expect("placement").backend == "ort");
    let best = client.rerank(RerankRequest { top_k: Some(1), ..message.clone() }).await.expect("ranks").into_inner();
    assert_eq!(best.ranking.len(), 1);
    for (message, expected) in [
        (RerankRequest { query: " ".to_owned(), ..message.clone() }, "the query is empty or blank"),
        (RerankRequest { documents: vec![], ..message.clone() }, "the request has no texts"),
        (RerankRequest { documents: texts(&["a", ""]), ..message.clone() }, "text 1 is empty"),
        (RerankRequest { query_prompt_name: Some("q".to_owned()), ..message }, "prompt `q` does not exist"),
    ] {
        let status = client.rerank(message).await.expect_err(expected);
        assert!(status.code() == Code::InvalidArgument && status.message().starts_with(expected), "{status}");
    }
    server.stop_cleanly();
}
