//! Messages to embed, as the engine understands them.

use tonic::Status;
use wisp_engine::{EmbedInputs, EmbedRequest, Lane, Prompt};
use wisp_proto::v1;

use crate::caller::Caller;

/// A message as a request.
///
/// # Errors
/// INVALID_ARGUMENT for texts and tokens in one message, and for a priority that does not exist.
pub(super) fn embed_request(message: v1::EmbedRequest, caller: &Caller) -> Result<EmbedRequest, Status> {
    let lane = lane(message.priority)?;
    let mut request = EmbedRequest::of(inputs(message.texts, message.tokens)?);
    request.deployment = deployment(message.deployment);
    request.prompt = Prompt::named(message.prompt_name);
    request.options.normalize = message.normalize.unwrap_or(request.options.normalize);
    request.options.truncate = message.truncate.unwrap_or(request.options.truncate);
    request.options.dimensions = message.dimensions;
    request.lane = lane;
    request.deadline = caller.deadline;
    request.tenant = Some(caller.tenant.clone());
    Ok(request)
}

/// The name of a deployment; an empty one means the usual.
pub(super) fn deployment(name: String) -> Option<String> {
    Some(name).filter(|name| !name.is_empty())
}

/// The lane of a priority.
pub(super) fn lane(priority: i32) -> Result<Lane, Status> {
    match v1::Priority::try_from(priority) {
        Ok(v1::Priority::Unspecified | v1::Priority::Interactive) => Ok(Lane::Interactive),
        Ok(v1::Priority::Bulk) => Ok(Lane::Bulk),
        Err(_) => Err(Status::invalid_argument(format!("priority {priority} does not exist"))),
    }
}

fn inputs(texts: Vec<String>, tokens: Vec<v1::TokenIds>) -> Result<EmbedInputs, Status> {
    match (texts.is_empty(), tokens.is_empty()) {
        (_, true) => Ok(EmbedInputs::Texts(texts)),
        (true, false) => Ok(EmbedInputs::Tokens(rows(tokens))),
        (false, false) => Err(Status::invalid_argument("the request has texts and tokens; send one of the two")),
    }
}

/// Token ids, list by list.
pub(super) fn rows(tokens: Vec<v1::TokenIds>) -> Vec<Vec<u32>> {
    tokens.into_iter().map(|row| row.ids).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_default() {
        let message = v1::EmbedRequest { texts: vec!["a".to_owned()], ..v1::EmbedRequest::default() };
        let request = embed_request(message, &Caller::nobody()).expect("can be meant");
        assert_eq!((request.deployment, request.prompt, request.lane), (None, Prompt::Default, Lane::Interactive));
        assert_eq!(request.options, wisp_engine::EmbedOptions::default());
        assert_eq!(request.inputs, EmbedInputs::Texts(vec!["a".to_owned()]));
    }

    #[test]
    fn a_message_has_texts_or_tokens_and_not_both() {
        let tokens = vec![v1::TokenIds { ids: vec![101, 102] }];
        let message = v1::EmbedRequest { tokens, prompt_name: Some(String::new()), ..v1::EmbedRequest::default() };
        let request = embed_request(message.clone(), &Caller::nobody()).expect("can be meant");
        assert_eq!((request.inputs, request.prompt), (EmbedInputs::Tokens(vec![vec![101, 102]]), Prompt::Nothing));
        let both = v1::EmbedRequest { texts: vec!["a".to_owned()], ..message };
        let status = embed_request(both, &Caller::nobody()).expect_err("which of them?");
        assert_eq!(status.message(), "the request has texts and tokens; send one of the two");
    }
}
