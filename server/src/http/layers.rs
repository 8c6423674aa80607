//! What every request passes on its way in and out.

use std::any::Any;

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderValue, Method, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

use super::{
    BODY_BYTES_MAX,
    problem::{Kind, Problem},
};

/// Wraps all routes: panics become problems, problems learn the path, unknown paths and methods are problems too.
pub(super) fn wrap(router: Router) -> Router {
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(finish))
        .layer(TraceLayer::new_for_http().make_span_with(span))
}

/// A span with the route, and the tenant once it is known. Nothing that callers choose stands in it: paths hold what strangers like,
/// filters personal data, headers keys.
fn span(request: &Request) -> tracing::Span {
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str);
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    let method = known.iter().find(|known| *known == request.method()).map_or("(other)", Method::as_str);
    tracing::info_span!("http", method, route, tenant = tracing::field::Empty)
}

async fn unknown_path(request: Request) -> Problem {
    Problem::new(
        Kind::NotFound,
        format!("no route has the path {}: the routes are listed at /v1/openapi.json", request.uri().path()),
    )
}

async fn unknown_method(request: Request) -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        format!(
            "{} does not take {}: the methods that it takes are in the header Allow",
            request.uri().path(),
            request.method()
        ),
    )
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is tower-http's")]
fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let cause = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    Problem::internal(cause).into_response()
}

/// Puts the path into a problem, and the headers that every answer has.
async fn finish(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.respond(Some(&path));
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{Method, StatusCode},
        routing::get,
    };
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: Method, path: &str) -> (StatusCode, Option<HeaderValue>, serde_json::Value) {
        let router = wrap(
            Router::new()
                .route("/ok", get(async || "fine"))
                .route("/broken", get(async || -> &'static str { panic!("the secret is 42") })),
        );
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 10_000).await.unwrap();
        (parts.status, parts.headers.get(header::ALLOW).cloned(), serde_json::from_slice(&body).unwrap_or_default())
    }

    #[tokio::test]
    async fn every_failure_is_a_problem_with_its_path() {
        for (method, path, status, says) in [
            (Method::GET, "/nothing?here", 404, "/nothing"),
            (Method::DELETE, "/ok", 405, "does not take DELETE"),
            (Method::GET, "/broken", 500, "server's log"),
        ] {
            let (answer, allow, body) = ask(method, path).await;
            assert_eq!(answer, status, "{path}");
            assert_eq!(body["instance"], path.split('?').next().unwrap());
            assert!(body["detail"].as_str().unwrap().contains(says), "{body}");
            assert!(!body.to_string().contains("42"), "a panic's message must not reach the caller");
            assert_eq!(allow.is_some(), status == 405);
        }
        assert_eq!(ask(Method::GET, "/ok").await.0, 200);
    }
}
