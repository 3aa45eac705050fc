//! TLS towards clients: certificate and key come from files and are reloaded when these change, so that
//! a renewal needs no restart. (AWS's SDKs send bearer keys over https only.)

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::files::{self, FileStamp};

/// ALPN names, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
/// ALPN name of HTTP/2.
pub(crate) const HTTP2: &[u8] = b"h2";

/// Interval at which the files are checked.
const INTERVAL: Duration = Duration::from_secs(2);

/// Paths of certificate and key, in PEM format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// The reason why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// A file contains no PEM of the required kind.
    #[error("{0}: {1}")]
    Pem(PathBuf, pem::Error),
    /// The files do not belong together, or hold a key or certificate that rustls rejects.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The certificate in force.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: TlsFiles,
    /// The stamps before the first reading: a change from then on is noticed.
    loaded: Stamps,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads the files.
    pub(crate) fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let loaded = stamps(&files);
        let current = ArcSwap::from_pointee(read(&files)?);
        Ok(Arc::new(Self { files, loaded, current }))
    }

    /// A server configuration that uses the certificate in force. TLS 1.2 and 1.3, HTTP/1.1.
    pub(crate) fn server(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }

    /// Reloads the files whenever they change; runs until dropped. If they cannot be used, the old
    /// certificate stays in force.
    pub(crate) async fn keep_current(self: Arc<Self>) {
        let mut seen = self.loaded;
        loop {
            let looking = Arc::clone(&self);
            let before = seen;
            let found = files::apart("reading the TLS files", move || looking.look(before)).await;
            match found {
                Ok((stamp, fresh)) => {
                    seen = stamp;
                    match fresh {
                        None => {}
                        Some(Ok(fresh)) => {
                            self.current.store(Arc::new(fresh));
                            log::info!("TLS certificate read again");
                        }
                        Some(Err(error)) => log::error!("TLS certificate unchanged: {error}"),
                    }
                }
                Err(error) => log::error!("TLS certificate unchanged: {error}"),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// The present stamps of the files, and their content if the stamps have changed.
    fn look(&self, before: Stamps) -> (Stamps, Option<Result<CertifiedKey, TlsError>>) {
        let now = stamps(&self.files);
        (now, (now != before).then(|| read(&self.files)))
    }
}

/// Stamps of certificate and key.
type Stamps = [Option<FileStamp>; 2];

fn stamps(files: &TlsFiles) -> Stamps {
    [&files.certificate, &files.key].map(|path| FileStamp::of(path))
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let content =
        |path: &PathBuf| files::read(path).map_err(|error| TlsError::File(path.clone(), error));
    let chain = CertificateDer::pem_slice_iter(&content(&files.certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(|error| TlsError::Pem(files.certificate.clone(), error))?;
    let key = PrivateKeyDer::from_pem_slice(&content(&files.key)?)
        .map_err(|error| TlsError::Pem(files.key.clone(), error))?;
    Ok(CertifiedKey::from_der(chain, key, &provider())?)
}
