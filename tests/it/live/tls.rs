//! TLS, with a certificate that nobody knows.

use super::script::answer;
use super::server::{Server, Setup};
use super::{PLAIN, start};
use std::sync::Arc;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A server with TLS, and its certificate in a file.
fn secure(spoils: fn(u64) -> bool) -> (Server, TempDir, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let setup =
        Setup { tls: Some(TlsAcceptor::from(Arc::new(config))), spoils, ..Setup::default() };
    (Server::with(setup, answer), place, file.display().to_string())
}

fn words(more: &str) -> String {
    format!("{PLAIN} --concurrency 4 --num-requests 20 {more}")
}

#[test]
fn a_certificate_that_is_given_or_not_asked_for_will_do() {
    let (server, _place, file) = secure(|_| false);
    let run = start(&[&server], &words(""), &["--cacert", &file]).finish();
    run.completed_all(20);
    assert_eq!(server.connections(), 4);
    assert!(run.rows.iter().all(|row| row.number("ttft_ms") <= row.number("e2e_ms")));
    start(&[&server], &words("--insecure"), &[]).finish().completed_all(20);
    let whole = words("--insecure --no-streaming --connection per-request");
    start(&[&server], &whole, &[]).finish().completed_all(20);
}

#[test]
fn an_unknown_certificate_is_refused_with_its_cure() {
    let (server, _place, _file) = secure(|_| false);
    for model in ["--model=mock", "--quiet"] {
        let words = "diverse --isl 9 --osl 4 --concurrency 4 --num-requests 8 --no-server-metrics";
        let (output, _place) = start(&[&server], words, &[model]).output();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("--url https://127.0.0.1:"), "{stderr}");
        assert!(stderr.contains("certificate"), "{stderr}");
        assert!(stderr.contains("--cacert") && stderr.contains("--insecure"), "{stderr}");
        assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn handshakes_that_fail_during_the_run_are_counted() {
    let (server, _place, _file) = secure(|connection| connection % 4 == 3);
    let run = start(&[&server], &words("--insecure --connection per-request"), &[]).finish();
    assert_eq!((run.code, run.requests("completed"), server.count()), (1, 15, 15));
    assert_eq!(run.failures()["tls"], 5);
    assert!(run.ended("failed").all(|row| row.text("sent_ms").is_empty()));
}

#[test]
fn https_on_a_server_without_tls_is_said() {
    let server = Server::start(answer);
    let place = tempfile::tempdir().unwrap();
    let url = format!("--url=https://127.0.0.1:{}", server.port());
    let output = super::program(&place)
        .args(words("--request-timeout 1s").split_whitespace())
        .arg(url)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--url https://127.0.0.1:"), "{stderr}");
}
