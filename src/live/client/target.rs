//! Where requests go: URLs, addresses, TLS.

use super::answer::Fault;
use crate::error::{self, Error};
use crate::live::record::Failure;
use hyper::Uri;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, crypto,
};

/// Where the interface lies unless the URL says otherwise.
const DEFAULT_BASE: &str = "/v1";

/// One endpoint.
#[derive(Clone, Debug)]
pub struct Target {
    /// As the user wrote it.
    pub url: String,
    /// The option that named it.
    pub option: &'static str,
    /// `host` or `host:port`, as the `Host` header has it.
    pub authority: String,
    /// Host alone.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Over TLS.
    pub tls: bool,
    /// Path before `/chat/completions`, without a slash at its end.
    pub base: String,
    /// Path of completions.
    pub path: String,
}

impl Target {
    /// Reads a base URL: `http://host:port`, with or without `/v1`. `path` replaces the standard path of
    /// completions.
    ///
    /// # Errors
    /// Where it is no HTTP URL.
    pub fn parse(url: &str, completions: &str, path: Option<&str>) -> error::Result<Target> {
        Target::given_by("--url", url, completions, path)
    }

    /// As [`Target::parse`], for an endpoint that another option than `--url` named.
    ///
    /// # Errors
    /// Where it is no HTTP URL.
    pub fn given_by(
        option: &'static str,
        url: &str,
        completions: &str,
        path: Option<&str>,
    ) -> error::Result<Target> {
        let wrong = |why: &str| {
            Error::input(format!("{option} {url}: {why}; write for example http://127.0.0.1:8000"))
        };
        let full = if url.contains("://") { url.to_string() } else { format!("http://{url}") };
        let uri: Uri = full.parse().map_err(|why| wrong(&format!("{why}")))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("the scheme is neither http nor https")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it contains a user name; give the key with --api-key"));
        }
        if uri.query().is_some() {
            return Err(wrong("it has a query; give the base URL alone"));
        }
        let named = authority.as_str().len() > authority.host().len();
        let port = authority.port_u16().or((!named).then_some(if tls { 443 } else { 80 }));
        let port = port.ok_or_else(|| wrong("its port is no number from 0 to 65535"))?;
        let given = uri.path().trim_end_matches('/');
        let given =
            given.strip_suffix(completions).map_or(given, |base| base.trim_end_matches('/'));
        let base = if given.is_empty() { DEFAULT_BASE } else { given };
        let standard = || format!("{base}/{completions}");
        let path = path.map_or_else(standard, |path| format!("/{}", path.trim_start_matches('/')));
        Ok(Target {
            url: url.into(),
            option,
            authority: authority.as_str().into(),
            host: authority.host().trim_matches(['[', ']']).into(),
            port,
            tls,
            base: base.into(),
            path,
        })
    }

    /// Reads the URL of a page that `option` named; without a path it is `standard`.
    ///
    /// # Errors
    /// Where it is no HTTP URL.
    pub fn page(option: &'static str, url: &str, standard: &str) -> error::Result<Target> {
        let mut page = Target::given_by(option, url, "", None)?;
        page.path = if page.base == DEFAULT_BASE { standard.into() } else { page.base.clone() };
        Ok(page)
    }

    /// Scheme, host and port.
    pub fn root(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }

    /// Its addresses.
    ///
    /// # Errors
    /// Where the name is not known.
    pub async fn resolve(&self) -> error::Result<Vec<SocketAddr>> {
        let Target { option, url, host, .. } = self;
        let found = tokio::net::lookup_host((host.as_str(), self.port)).await;
        let found: Vec<SocketAddr> = found
            .map_err(|why| Error::input(format!("{option} {url}: cannot find {host}: {why}")))?
            .collect();
        if found.is_empty() {
            return Err(Error::input(format!("{option} {url}: {host} has no address")));
        }
        Ok(found)
    }
}

/// A TCP connection to the first address that takes it.
///
/// # Errors
/// What the last address said.
pub async fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, Fault> {
    let mut last = String::from("no address");
    for address in addresses {
        match tokio::time::timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests are small and must not wait for an acknowledgement.
                drop(stream.set_nodelay(true));
                return Ok(stream);
            }
            Ok(Err(why)) => last = format!("{address}: {why}"),
            Err(_) => last = format!("{address}: no answer within {} s", limit.as_secs_f64()),
        }
    }
    Err(Fault::new(Failure::Connect, last))
}

/// Whom TLS trusts.
#[derive(Clone, Debug, Default)]
pub struct Trust<'a> {
    /// More certificates, PEM.
    pub cacert: Option<&'a Path>,
    /// Anybody.
    pub insecure: bool,
}

/// A TLS connector: the system's certificates and those of `trust`.
///
/// # Errors
/// Where a file of certificates cannot be read.
pub fn connector(trust: &Trust) -> error::Result<TlsConnector> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|why| Error::Run(format!("TLS cannot be set up: {why}")))?;
    let config = if trust.insecure {
        let verifier = Arc::new(TrustAnybody(provider));
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
    } else {
        builder.with_root_certificates(roots(trust.cacert)?).with_no_client_auth()
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(cacert: Option<&Path>) -> error::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let Some(path) = cacert else { return Ok(roots) };
    let wrong = |why: String| {
        Error::input(format!("--cacert {}: {why}; it must be a PEM file", path.display()))
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|why| wrong(why.to_string()))?;
    let before = roots.len();
    for certificate in certificates {
        let certificate = certificate.map_err(|why| wrong(why.to_string()))?;
        roots.add(certificate).map_err(|why| wrong(why.to_string()))?;
    }
    if roots.len() == before {
        return Err(wrong("it holds no certificate".into()));
    }
    Ok(roots)
}

/// `--insecure`: any certificate will do; signatures are checked all the same.
#[derive(Debug)]
struct TrustAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer,
        _: &[CertificateDer],
        _: &ServerName,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, tokio_rustls::rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, tokio_rustls::rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, tokio_rustls::rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(url: &str) -> String {
        Target::parse(url, "chat/completions", None).unwrap().path
    }

    #[test]
    fn base_urls_in_all_the_ways_people_write_them() {
        for url in [
            "http://h:8000",
            "http://h:8000/",
            "h:8000",
            "https://h/v1",
            "http://h/v1/",
            "http://h/v1/chat/completions",
        ] {
            assert_eq!(path(url), "/v1/chat/completions", "{url}");
        }
        assert_eq!(path("http://h/openai/v1"), "/openai/v1/chat/completions");
        let own = Target::parse("http://h", "completions", Some("generate")).unwrap();
        assert_eq!(own.path, "/generate");
        let six = Target::parse("https://[::1]:9/v1", "completions", None).unwrap();
        assert_eq!((six.host.as_str(), six.port, six.tls), ("::1", 9, true));
        assert_eq!(six.root(), "https://[::1]:9");
    }

    #[test]
    fn what_is_no_base_url_is_refused_with_a_cure() {
        for url in ["", "ftp://h", "http://", "http://u:p@h", "http://h/v1?x=1", "http://h:99999"] {
            let message = Target::parse(url, "completions", None).unwrap_err().to_string();
            assert!(message.contains("http://127.0.0.1:8000"), "{url}: {message}");
        }
    }
}
