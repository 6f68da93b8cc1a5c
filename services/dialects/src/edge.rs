//! What surrounds every answer of both services: what browsers are told about it, and which pages
//! of other origins may read it.

use std::time::Duration;

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, STRICT_TRANSPORT_SECURITY},
    },
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::origin;

/// On every answer that says nothing else: it is what it says it is, no document, in no frame,
/// embedded by nobody, and tells nobody where the visitor came from.
const ALWAYS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// How long a browser may remember what a foreign page may ask.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Surrounds a service. Pages of `origins` ([`origin::parse_origin`]) may read the answers, with the
/// visitor's cookie; nobody else's may. For `hsts` seconds a browser that came by HTTPS is told to
/// come by nothing else; 0 tells it nothing.
pub fn around(router: Router, origins: &[String], hsts: u32) -> Router {
    let listed: Vec<_> =
        origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    let router = match listed.is_empty() {
        true => router,
        false => router.layer(cors(listed)),
    };
    let hsts = Some(hsts).filter(|hsts| *hsts > 0).map(|hsts| format!("max-age={hsts}"));
    let hsts = hsts.and_then(|value| HeaderValue::try_from(value).ok());
    router.layer(from_fn_with_state(hsts, told))
}

fn cors(listed: Vec<HeaderValue>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(listed))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, HeaderName::from_static("idempotency-key")])
        .expose_headers([RETRY_AFTER])
        .max_age(REMEMBERED)
}

async fn told(State(hsts): State<Option<HeaderValue>>, request: Request, next: Next) -> Response {
    let hsts = hsts.filter(|_| origin::is_secure(request.headers()));
    let mut response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.extend(hsts.map(|hsts| (STRICT_TRANSPORT_SECURITY, hsts)));
    response
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::HeaderMap, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    const LISTED: &str = "https://app.example";

    /// A service with one route, which says something of its own.
    fn service(origins: &[&str], hsts: u32) -> Router {
        let router = Router::new().route("/", get(async || [("referrer-policy", "same-origin")]));
        let origins: Vec<_> = origins.iter().map(ToString::to_string).collect();
        around(router, &origins, hsts)
    }

    async fn ask(
        service: Router,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (u16, HeaderMap) {
        let request = Request::builder().method(method).uri(path);
        let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
        let request = request.body(Body::empty()).expect("a request");
        let response = service.oneshot(request).await.expect("an answer");
        (response.status().as_u16(), response.headers().clone())
    }

    #[tokio::test]
    async fn every_answer_has_the_headers_and_what_it_says_itself_stays() {
        for (method, path, status) in [("GET", "/", 200), ("GET", "/x", 404), ("PUT", "/", 405)] {
            let (answered, headers) = ask(service(&[], 0), method, path, &[]).await;
            assert_eq!(answered, status);
            for (name, value) in ALWAYS.into_iter().filter(|(name, _)| *name != "referrer-policy") {
                assert_eq!(headers[name], value, "{path}");
            }
            let referrer =
                if status == 404 || status == 405 { "no-referrer" } else { "same-origin" };
            assert_eq!(headers["referrer-policy"], referrer);
        }
    }

    #[tokio::test]
    async fn only_who_came_by_https_is_told_to_stay_with_it_and_only_where_that_is_set() {
        let told = async |hsts, proto| {
            let (_, headers) =
                ask(service(&[], hsts), "GET", "/", &[("x-forwarded-proto", proto)]).await;
            headers
                .get(STRICT_TRANSPORT_SECURITY)
                .map(|value| value.to_str().expect("text").to_owned())
        };
        assert_eq!(told(86_400, "https").await.as_deref(), Some("max-age=86400"));
        assert_eq!(told(86_400, "http").await, None);
        assert_eq!(told(0, "https").await, None);
    }

    #[tokio::test]
    async fn pages_of_listed_origins_may_read_and_nobody_else() {
        let may = |headers: &HeaderMap| headers.get("access-control-allow-origin").cloned();
        let preflight = [("origin", LISTED), ("access-control-request-method", "PATCH")];
        let (status, headers) = ask(service(&[LISTED], 0), "OPTIONS", "/", &preflight).await;
        assert_eq!(
            (status, &headers["access-control-allow-origin"]),
            (200, &HeaderValue::from_static(LISTED))
        );
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert!(headers["access-control-allow-methods"].to_str().expect("text").contains("PATCH"));
        assert!(
            headers["access-control-allow-headers"]
                .to_str()
                .expect("text")
                .contains("authorization")
        );
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let (_, headers) = ask(service(&[LISTED], 0), "GET", "/", &[("origin", LISTED)]).await;
        assert_eq!(may(&headers), Some(HeaderValue::from_static(LISTED)));
        for foreign in ["https://evil.example", "null", "http://app.example", "https://APP.example"]
        {
            for method in ["GET", "OPTIONS"] {
                let (_, headers) =
                    ask(service(&[LISTED], 0), method, "/", &[("origin", foreign)]).await;
                assert_eq!(may(&headers), None, "{method} {foreign}");
                assert!(headers["vary"].to_str().expect("text").contains("origin"));
            }
        }
        let (status, headers) = ask(service(&[], 0), "OPTIONS", "/", &preflight).await;
        assert_eq!((status, may(&headers)), (405, None), "closed unless set");
    }
}
