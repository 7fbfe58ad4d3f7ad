//! Links: what is kept of a click, and where the visitor is sent.

use axum::{
    body::Body,
    http::{HeaderName, Request, StatusCode, header},
};
use postbook::{http::Connected, service::ServerOptions};
use postbook_schemas::{
    Envelope, Fact,
    traffic::{Click, Device},
};

use super::support::app::TestApp;

const PROGRAMME: &str = r#"
    [[brand]]
    slug = "acme"

    [[offer]]
    brand = "acme"
    slug = "casino"
    destination = "https://acme.example/landing?src={source}#top"

    [[offer.route]]
    destination = "https://acme.example/de?id={click_id}&s={sub1}"
    country = ["DE"]

    [[partner]]
    slug = "p1"

    [[link]]
    slug = "abc"
    offer = "acme/casino"
    partner = "p1"
    campaign = "spring-sale"

    [[link]]
    slug = "own"
    offer = "acme/casino"
    partner = "p1"
    destination = "https://acme.example/own"
"#;

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 \
    (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1";

fn last_click(envelope: Envelope) -> Click {
    let Fact::ClickRecorded(click) = envelope.fact else {
        unreachable!("the last fact is a click");
    };
    click
}

#[tokio::test]
async fn a_click_is_kept_with_everything_known_then() {
    let app = TestApp::start(PROGRAMME).await;
    let path =
        "/abc?utm_source=news%20letter&sub1=a%2526&sub6=x&fbclid=IwAR0_x-Y.z&gclid=G+1&other=1";
    let mut request = Request::get(path)
        .header(header::USER_AGENT, PHONE)
        .header(header::REFERER, "https://blog.example/post")
        .header("x-country", "DE")
        .body(Body::empty())
        .expect("a request");
    let peer = Connected::plain(([203, 0, 113, 77], 1).into());
    request.extensions_mut().insert(peer);
    let answer = app.send(request).await;

    let envelope = app.last_fact().await;
    assert_eq!(envelope.source.address.as_deref(), Some("203.0.113.0"));
    let click = last_click(envelope);
    let location = format!(
        "https://acme.example/landing?src=news%20letter&cid={}#top",
        click.click_id
    );
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(answer.header(header::LOCATION), Some(location.as_str()));
    assert_eq!(click.click_id.len(), 10);
    assert_eq!(click.device, Device::Mobile);
    // Nobody trusted says where the visitor is.
    assert_eq!(click.country, None);
    assert_eq!(click.user_agent.as_deref(), Some(PHONE));
    assert_eq!(click.referrer.as_deref(), Some("https://blog.example/post"));
    assert_eq!(click.campaign.as_deref(), Some("spring-sale"));
    let kept: Vec<_> = click.parameters.iter().collect();
    let expected = [
        ("fbclid", "IwAR0_x-Y.z"),
        ("gclid", "G 1"),
        ("sub1", "a%26"),
        ("utm_source", "news letter"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(
        kept,
        expected.iter().map(|(n, v)| (n, v)).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_click_id_finds_its_click_by_decoding() {
    let app = TestApp::start(PROGRAMME).await;
    let id = app.click("/own").await;
    let position = app.service.click_ids.decode(&id).expect("an id of ours");
    assert_eq!(position, app.service.log.store().head());
    let heads = app.service.log.store().clicks(vec![position]).await;
    assert!(heads.expect("the log can be read")[0].is_some());
}

#[tokio::test]
async fn a_trusted_proxy_tells_the_country_which_chooses_the_destination() {
    let options = ServerOptions {
        trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
        country_header: Some(HeaderName::from_static("x-country")),
        ..ServerOptions::default()
    };
    let app = TestApp::start_with(PROGRAMME, options).await;
    let visit = |peer: [u8; 4]| {
        let mut request = Request::get("/abc?sub1=x/y")
            .header("x-country", "de")
            .header("x-forwarded-for", "2001:db8:1:2:3:4:5:6")
            .body(Body::empty())
            .expect("a request");
        request
            .extensions_mut()
            .insert(Connected::plain((peer, 1).into()));
        request
    };
    let answer = app.send(visit([10, 0, 0, 1])).await;
    let envelope = app.last_fact().await;
    assert_eq!(envelope.source.address.as_deref(), Some("2001:db8:1::"));
    let click = last_click(envelope);
    assert_eq!(click.country.as_deref(), Some("DE"));
    let location = format!("https://acme.example/de?id={}&s=x%2Fy", click.click_id);
    assert_eq!(answer.header(header::LOCATION), Some(location.as_str()));

    app.send(visit([203, 0, 113, 1])).await;
    let envelope = app.last_fact().await;
    assert_eq!(envelope.source.address.as_deref(), Some("203.0.113.0"));
    assert_eq!(last_click(envelope).country, None);
}

#[tokio::test]
async fn whoever_only_looks_is_no_click() {
    let app = TestApp::start(PROGRAMME).await;
    let before = app.service.log.store().head();
    let head = Request::head("/own").body(Body::empty());
    let answer = app.send(head.expect("a request")).await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(
        answer.header(header::LOCATION),
        Some("https://acme.example/own")
    );
    let post = Request::post("/own").body(Body::empty());
    let answer = app.send(post.expect("a request")).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(app.service.log.store().head(), before);
}

#[tokio::test]
async fn an_unknown_link_is_a_page_for_people_and_a_problem_for_programs() {
    let app = TestApp::start(PROGRAMME).await;
    let before = app.service.log.store().head();
    for (accept, content_type) in [
        ("text/html,*/*", "text/html; charset=utf-8"),
        ("*/*", "application/problem+json"),
    ] {
        let request = Request::get("/nothing")
            .header(header::ACCEPT, accept)
            .body(Body::empty());
        let answer = app.send(request.expect("a request")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.header(header::CONTENT_TYPE), Some(content_type));
    }
    assert_eq!(app.service.log.store().head(), before);
}

#[tokio::test]
async fn reserved_paths_are_never_links() {
    for path in [
        "postback",
        "api",
        "v1",
        "UI",
        "healthz",
        "robots.txt",
        "favicon.ico",
    ] {
        assert!(postbook::directory::is_reserved(path), "{path}");
    }
    assert!(!postbook::directory::is_reserved("abc"));
}
