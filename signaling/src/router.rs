//! What is where, and what holds for every call: CORS (Fetch standard), bounds on size and time, observation.
//! Invariant: every answer carries the CORS headers, errors too, so that a page can read why.

use crate::{Signaling, agent, cameras, config::Cors, connections, failure::method_not_allowed, observe};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderValue, Method, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::{get, post},
};
use protocol::node::MAX_SDP;
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Methods of `/whip/{camera}` and `/whep/{camera}`.
const ENDPOINT_METHODS: &str = "GET, HEAD, OPTIONS, POST";
/// Methods of a connection's URL.
pub(crate) const CONNECTION_METHODS: &str = "DELETE, GET, HEAD, OPTIONS";
/// How long a browser may remember a preflight's answer.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3600);

pub(crate) fn public(service: &Signaling) -> Router {
    let endpoints = Router::new()
        .route("/whip/{camera}", post(connections::publish).get(connections::nothing))
        .route("/whep/{camera}", post(connections::view).get(connections::nothing))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_SDP));
    let connections = Router::new()
        .route(
            "/whip/connections/{id}",
            get(connections::nothing).delete(connections::unpublish).patch(connections::patch),
        )
        .route("/whep/connections/{id}", get(connections::nothing).delete(connections::leave).patch(connections::patch))
        .method_not_allowed_fallback(method_not_allowed);
    let api = Router::new()
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

/// What `OPTIONS` tells besides CORS (RFC 9725, section 4.2): the methods, and for an endpoint what it takes.
async fn describe_options(State(methods): State<&'static str>, request: Request, next: Next) -> Response {
    let asked = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    if asked {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
        if methods == ENDPOINT_METHODS {
            response.headers_mut().insert("accept-post", HeaderValue::from_static(connections::SDP));
        }
    }
    response
}
