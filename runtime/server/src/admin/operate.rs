//! What operators do over the admin listener, and who may.

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tonic::Code;
use wisp_engine::{Engine, Reloaded};

use super::{Admin, probes};
use crate::identity;
use crate::transport::Peer;

/// What others are told as long as nobody has the scope.
const FROM_ELSEWHERE: &str = "from another machine this takes a tenant with scopes = [\"admin\"], and none is configured; come from this machine, \
     for example through a forwarded port\n";

/// Reads the configuration again and puts it into service; answers when that is done, with what changed or why nothing did.
pub(super) async fn reload(State(admin): State<Admin>, request: Parts) -> Response {
    let Some(serving) = admin.shared.serving.get() else { return probes::startup(&admin.phase()).into_response() };
    if let Err(refusal) = may_administer(&serving.engine, &request) {
        return *refusal;
    }
    let Some(reload) = admin.shared.reload.get().cloned() else {
        return (StatusCode::NOT_IMPLEMENTED, "this server's configuration cannot change\n").into_response();
    };
    match tokio::task::spawn_blocking(move || reload()).await {
        Ok(Ok(Reloaded { added, removed, changed, ignored })) => {
            let told = [("added", added), ("removed", removed), ("changed", changed)];
            let told = told.map(|(what, names)| format!("{what}: {}\n", names.join(", "))).concat();
            let restart =
                if ignored.is_empty() { String::new() } else { format!("after a restart: {}\n", ignored.join(", ")) };
            (StatusCode::OK, told + &restart).into_response()
        }
        Ok(Err(reason)) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{reason}\n")).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Tenants with the scope may; who shows no token is asked for one, whoever he is without it. As long as there is none, whoever is on this machine may: nobody else is known by anything.
pub(crate) fn may_administer(engine: &Engine, request: &Parts) -> Result<(), Box<Response>> {
    if !engine.has_administrator() {
        let is_local = request.extensions.get::<Peer>().is_some_and(|peer| peer.is_local);
        return if is_local { Ok(()) } else { Err(Box::new((StatusCode::FORBIDDEN, FROM_ELSEWHERE).into_response())) };
    }
    let checked = identity::administrator(engine, &request.headers, &request.extensions);
    let shows_token = request.headers.contains_key(header::AUTHORIZATION);
    checked.map(drop).map_err(|status| {
        let told = format!("{}\n", status.message());
        Box::new(match status.code() {
            code if code == Code::Unauthenticated || !shows_token => {
                (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], told).into_response()
            }
            _ => (StatusCode::FORBIDDEN, told).into_response(),
        })
    })
}
