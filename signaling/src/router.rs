//! What is where, and what holds for every call: CORS (Fetch standard), bounds on size and time, observation.
//! Invariant: every answer carries the CORS headers, errors too, so that a page can read why.

use crate::{
    Signaling, agent, body, cameras, config::Cors, failure::method_not_allowed, observe, sdpfrag, sessions, streams,
    whip,
};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::{get, patch, post},
};
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Methods of `/whip/{camera}` and `/whep/{camera}`.
const ENDPOINT_METHODS: &str = "GET, HEAD, OPTIONS, POST";
/// Methods of a connection's URL.
const CONNECTION_METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH";
/// How long a browser may remember a preflight's answer.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3600);

pub(crate) fn public(service: &Signaling) -> Router {
    let endpoints = Router::new()
        .route("/whip/{camera}", post(whip::publish).get(whip::nothing))
        .route("/whep/{camera}", post(whip::view).get(whip::nothing))
        .method_not_allowed_fallback(method_not_allowed);
    let connections = Router::new()
        .route("/whip/connections/{id}", get(whip::nothing).delete(whip::unpublish).patch(whip::patch_publisher))
        .route("/whep/connections/{id}", get(whip::nothing).delete(whip::leave).patch(whip::patch_viewer))
        .method_not_allowed_fallback(method_not_allowed);
    let api = Router::new()
        .route("/v1/sessions", post(sessions::open))
        .route("/v1/sessions/{id}", patch(sessions::patch).delete(sessions::leave))
        .route("/v1/sessions/{id}/events", get(streams::events))
        .route("/v1/cameras", get(cameras::list))
        .route("/v1/time", get(cameras::time))
        .route("/v1/agent", get(agent::connect))
        .method_not_allowed_fallback(method_not_allowed);
    let cors = cors(&service.0.cors);
    let dress = |router: Router<Signaling>| {
        router
            .layer(from_fn(observe::bounded))
            .layer(cors.clone())
            .layer(from_fn_with_state(service.clone(), observe::observed))
    };
    dress(endpoints)
        .layer(from_fn_with_state(ENDPOINT_METHODS, describe_options))
        .merge(dress(connections).layer(from_fn_with_state(CONNECTION_METHODS, describe_options)))
        .merge(dress(api))
        .with_state(service.clone())
}

fn cors(config: &Cors) -> CorsLayer {
    let origins = match config.origins.as_slice() {
        [] => AllowOrigin::any(),
        some => AllowOrigin::list(some.iter().cloned()),
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH])
        .expose_headers([header::LOCATION, header::LINK, header::ETAG, header::RETRY_AFTER, header::ALLOW])
        .max_age(PREFLIGHT_AGE)
}

/// What `OPTIONS` tells besides CORS (RFC 9725, section 4.2): the methods, and what they take.
async fn describe_options(State(methods): State<&'static str>, request: Request, next: Next) -> Response {
    let asked = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    if asked {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
        let (name, kind) = if methods == ENDPOINT_METHODS {
            ("accept-post", body::SDP)
        } else {
            ("accept-patch", sdpfrag::MEDIA_TYPE)
        };
        response.headers_mut().insert(name, HeaderValue::from_static(kind));
    }
    response
}
