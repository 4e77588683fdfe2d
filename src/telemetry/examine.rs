//! Asks a collector once whether it would take spans, in the way in which they are exported: for a person who wants to know
//! why there are none.
//!
//! It must not know what a run is, nor who asks.

use std::time::Duration;

use opentelemetry_sdk::trace::SpanData;
use reqwest::Url;
use tokio::runtime::Handle;

use super::collector;
use super::export::{Error, Settings, post};
use super::otlp::request::Sender;
use super::transport::{Failure, LastFailure, Transport};

/// The port that collectors have for OTLP over gRPC, as a rule.
const GRPC: u16 = 4317;

/// Why spans would not arrive, and the cure.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// A setting cannot be used.
    #[error(transparent)]
    Settings(#[from] Error),
    /// The collector did not take what it was sent.
    #[error("{url}: {what}; {cure}")]
    Collector {
        /// Where it was asked.
        url: String,
        /// What it said, or that it said nothing.
        what: String,
        /// What would help.
        cure: &'static str,
    },
}

/// Sends a request without spans to the collector that `settings` name, once, and waits so long for the answer. Gives the
/// address to which it went, without what may be a secret in it.
///
/// # Errors
/// When a setting cannot be used, or the collector does not take the request.
pub async fn examine(
    settings: &Settings,
    client: reqwest::Client,
    within: Duration,
) -> Result<String, Trouble> {
    let settings = Settings {
        timeout: within,
        ..settings.clone()
    };
    let post = post(&settings, client, LastFailure::default())?;
    let url = post.url.clone();
    let nothing: &[SpanData] = &[];
    let request = Sender::new(&collector::resource(&settings)).request(nothing);
    let transport = Transport::new(post, Handle::current());
    let shown = shown(&url);
    let (what, cure) = match transport.deliver_once(request.into()).await {
        Ok(answer) if is_page(&answer) => (
            "what answers there shows a page".to_owned(),
            "set OTEL_EXPORTER_OTLP_ENDPOINT to the collector's port for OTLP over HTTP, 4318 as a rule",
        ),
        Ok(_) => return Ok(shown),
        Err(failure) => (
            failure.to_string(),
            cure(&failure, &url, !settings.headers.is_empty()),
        ),
    };
    let url = shown;
    Err(Trouble::Collector { url, what, cure })
}

/// Whether an answer is HTML or XML. One of a collector, which may begin with a line feed and `<`, goes on otherwise.
fn is_page(answer: &[u8]) -> bool {
    let text = answer.strip_prefix("\u{feff}".as_bytes());
    let text = text.unwrap_or(answer).trim_ascii_start();
    let tag = text.strip_prefix(b"<").and_then(<[u8]>::first);
    tag.is_some_and(|first| first.is_ascii_alphabetic() || b"!?".contains(first))
}

/// The address without user and password.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // They can be left out of every address that has a host.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.to_string()
}

fn cure(failure: &Failure, url: &Url, has_headers: bool) -> &'static str {
    match failure {
        Failure::Refused { status, .. } => cure_of_status(status.as_u16(), url, has_headers),
        Failure::Broken(_) if url.scheme() == "http" && url.port() != Some(GRPC) => {
            WRONG_PORT_OR_TLS
        }
        Failure::Broken(_) => WRONG_PORT,
        Failure::Unreachable(_) | Failure::OutOfTime(_) if url.port() == Some(GRPC) => WRONG_PORT,
        Failure::Unreachable(_) if url.scheme() == "https" => {
            "start the collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT, which begins with http:// for one without TLS"
        }
        Failure::Unreachable(_) => "start the collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT",
        Failure::OutOfTime(_) | Failure::NoRuntime => {
            "look whether the collector is well and the network lets Dagway reach it, or correct OTEL_EXPORTER_OTLP_ENDPOINT"
        }
        Failure::LongAnswer => NO_COLLECTOR,
    }
}

const WRONG_PORT: &str = "Dagway speaks OTLP over HTTP, not gRPC: set OTEL_EXPORTER_OTLP_ENDPOINT to the collector's port for that, \
     4318 as a rule, where 4317 is the one for gRPC";
const WRONG_PORT_OR_TLS: &str = "Dagway speaks OTLP over HTTP, not gRPC: set OTEL_EXPORTER_OTLP_ENDPOINT to the collector's port for that, \
     4318 as a rule, where 4317 is the one for gRPC; or begin it with https:// if the collector wants TLS";
const NO_COLLECTOR: &str = "look whether a collector is there that takes OTLP over HTTP as protobuf, on port 4318 as a rule, or correct \
     OTEL_EXPORTER_OTLP_ENDPOINT";

fn cure_of_status(status: u16, url: &Url, has_headers: bool) -> &'static str {
    match status {
        401 | 403 if has_headers => "correct the credentials in OTEL_EXPORTER_OTLP_HEADERS",
        401 | 403 => {
            "set OTEL_EXPORTER_OTLP_HEADERS to the credentials that it wants, such as authorization=Bearer%20TOKEN"
        }
        404 | 405 if url.path().ends_with("/v1/traces/v1/traces") => {
            "leave /v1/traces out of OTEL_EXPORTER_OTLP_ENDPOINT, for it is put behind that"
        }
        404 | 405 => {
            "set OTEL_EXPORTER_OTLP_ENDPOINT to what stands before /v1/traces in the collector's address for OTLP over HTTP"
        }
        429 | 502..=504 => "it may take spans later; look at the collector's log if that lasts",
        500..=599 => "look at the collector's log",
        _ => NO_COLLECTOR,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use secrecy::SecretString;

    use super::super::otlp::answer::partial_success;
    use super::super::receiver::{Answer, Collector};
    use super::*;

    const SHORT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(20);

    async fn said(settings: &Settings, within: Duration) -> Result<String, String> {
        // A second installation fails, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let said = examine(settings, reqwest::Client::new(), within).await;
        said.map_err(|trouble| trouble.to_string())
    }

    /// What is said of something that answers with these bytes, with `WHERE` for its address.
    async fn of_a_stranger(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let _ = socket.read(&mut [0; 65_536]).unwrap();
            socket.write_all(answer).unwrap();
        });
        let settings = Settings::new(format!("http://{address}"));
        let said = said(&settings, LONG).await.unwrap_err();
        answers.join().unwrap();
        said.replace(&address.to_string(), "WHERE")
    }

    #[tokio::test]
    async fn a_collector_is_asked_as_an_export_asks_it_and_gets_no_span() {
        let collector = Collector::start();
        let mut settings = Settings::new(format!("{}/", collector.endpoint()));
        settings.headers = vec![("x-team".to_owned(), SecretString::from("blue"))];
        settings.service_name = Some("of-the-test".to_owned());
        let url = said(&settings, LONG).await.unwrap();
        assert_eq!(url, format!("{}/v1/traces", collector.endpoint()));
        let received = collector.wait_until(|all| !all.headers.is_empty()).await;
        assert_eq!((received.requests, received.spans.len()), (1, 0));
        let has = |name: &str, value: &str| {
            let mut headers = received.headers.iter();
            headers.any(|header| header == &(name.to_owned(), value.to_owned()))
        };
        assert!(has("x-team", "blue") && has("content-type", "application/x-protobuf"));
        let mut of = received.resource.iter().map(|one| format!("{one:?}"));
        assert!(of.any(|attribute| attribute.contains("of-the-test")));
    }

    #[tokio::test]
    async fn a_refusal_is_told_with_its_cure_and_after_one_request() {
        let collector = Collector::start();
        let open = Settings::new(collector.endpoint());
        let mut closed = open.clone();
        closed.headers = vec![(
            "authorization".to_owned(),
            SecretString::from("very-secret"),
        )];
        let twice = Settings::new(format!("{}/v1/traces", collector.endpoint()));
        let mut requests = 0;
        for (status, settings, expected) in [
            (
                401,
                &open,
                "set OTEL_EXPORTER_OTLP_HEADERS to the credentials",
            ),
            (
                403,
                &closed,
                "correct the credentials in OTEL_EXPORTER_OTLP_HEADERS",
            ),
            (404, &open, "what stands before /v1/traces"),
            (503, &open, "it may take spans later"),
            (500, &open, "look at the collector's log"),
            (400, &open, "takes OTLP over HTTP as protobuf"),
        ] {
            collector.answer(Answer::Refuse(status));
            let said = said(settings, LONG).await.unwrap_err();
            let begins = format!(
                "{}/v1/traces: the collector answered {status} ",
                collector.endpoint()
            );
            assert!(
                said.starts_with(&begins) && said.contains(expected),
                "{said}"
            );
            assert!(!said.contains("very-secret"), "{said}");
            requests += 1;
        }
        let received = collector.wait_until(|all| all.requests >= requests).await;
        assert_eq!(received.requests, requests, "nothing is tried again");
        let said = said(&twice, LONG).await.unwrap_err();
        assert!(said.contains("leave /v1/traces out of"), "{said}");
    }

    #[tokio::test]
    async fn who_does_not_answer_in_time_is_given_up() {
        let collector = Collector::start();
        collector.answer(Answer::Silence);
        let said = said(&Settings::new(collector.endpoint()), SHORT).await;
        collector.answer(Answer::TakeAllBut(0));
        let said = said.unwrap_err();
        assert!(
            said.contains(": no answer within 300ms; look whether"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn a_stranger_is_told_from_a_collector_and_the_port_for_grpc_from_the_one_for_http() {
        // The settings of HTTP/2, with which a gRPC server begins.
        let grpc = of_a_stranger(b"\0\0\0\x04\0\0\0\0\0").await;
        assert!(grpc.contains("not gRPC") && grpc.contains("4318"), "{grpc}");
        let hangs_up = of_a_stranger(b"").await;
        assert!(hangs_up.contains("not gRPC"), "{hangs_up}");
        let page =
            b"HTTP/1.1 200 OK\r\ncontent-length: 17\r\nconnection: close\r\n\r\n\r\n<!doctype html>";
        insta::assert_snapshot!(of_a_stranger(page).await, @"http://WHERE/v1/traces: what answers there shows a page; set OTEL_EXPORTER_OTLP_ENDPOINT to the collector's port for OTLP over HTTP, 4318 as a rule");
        let free = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let nobody = Settings::new(format!("http://me:very-secret@{free}"));
        let said = said(&nobody, LONG).await.unwrap_err();
        assert!(
            said.contains("refused") && said.contains("start the collector"),
            "{said}"
        );
        assert!(!said.contains("very-secret"), "{said}");
        let url = Url::parse("http://127.0.0.1:4317/v1/traces").unwrap();
        let unreachable = Failure::Unreachable(String::new());
        assert!(cure(&unreachable, &url, false).contains("not gRPC"));
    }

    #[test]
    fn what_may_be_wrong_with_tls_is_said() {
        let cure = |failure: fn(String) -> Failure, url: &str| {
            cure(&failure(String::new()), &Url::parse(url).unwrap(), false)
        };
        let broken = cure(Failure::Broken, "http://collector:4318/v1/traces");
        assert!(broken.contains("begin it with https://"), "{broken}");
        for url in [
            "https://collector/v1/traces",
            "http://collector:4317/v1/traces",
        ] {
            let broken = cure(Failure::Broken, url);
            assert!(!broken.contains("https://"), "{url}: {broken}");
        }
        let plain = cure(Failure::Unreachable, "https://collector/v1/traces");
        assert!(
            plain.contains("begins with http:// for one without"),
            "{plain}"
        );
        let unreachable = cure(Failure::Unreachable, "http://collector/v1/traces");
        assert!(!unreachable.contains("TLS"), "{unreachable}");
    }

    #[test]
    fn a_page_is_told_from_what_a_collector_answers() {
        for page in [
            "<html>",
            "<!DOCTYPE html>",
            "\r\n <HTML>",
            "\u{feff}<?xml version=\"1.0\"?>",
        ] {
            assert!(is_page(page.as_bytes()), "{page}");
        }
        // A remark of 58 letters, in a partial success of 60 bytes.
        let remark = [b"\x0a\x3c\x12\x3a".as_slice(), &[b'a'; 58]].concat();
        assert_eq!(partial_success(&remark).message.len(), 58);
        for answer in [&remark[..], b"", b"{}", b"\n\0", b"<", b"OK"] {
            assert!(!is_page(answer), "{answer:?}");
        }
    }
}
