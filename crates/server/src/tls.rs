//! TLS towards clients: a certificate and a key from files, read again when they change, so that a
//! renewal needs no restart. (AWS's SDKs send bearer keys over https only.)

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
use crate::listen;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// Where certificate and key are, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// It holds no PEM of the kind that is needed.
    #[error("{0}: {1}")]
    Pem(PathBuf, pem::Error),
    /// The files do not belong together, or hold what rustls does not take.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The certificate in force.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: TlsFiles,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads the files.
    pub(crate) fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(read(&files)?);
        Ok(Arc::new(Self { files, current }))
    }

    /// A server that shows whichever certificate is in force. TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    pub(crate) fn server(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = listen::PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }

    /// Reads the files again whenever they change; runs until dropped. Files that cannot be used
    /// leave the old certificate in force.
    pub(crate) async fn keep_current(self: Arc<Self>) {
        let mut seen = None;
        loop {
            let looking = Arc::clone(&self);
            let before = seen;
            let found = files::apart("reading the TLS files", move || looking.look(before)).await;
            match found {
                Ok((stamp, fresh)) => {
                    seen = Some(stamp);
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

    /// How the files stand, and what they hold where that is not how they stood before.
    fn look(&self, before: Option<Stamps>) -> (Stamps, Option<Result<CertifiedKey, TlsError>>) {
        let stamps = [&self.files.certificate, &self.files.key].map(|path| FileStamp::of(path));
        let is_new = before.is_some_and(|before| before != stamps);
        (stamps, is_new.then(|| read(&self.files)))
    }
}

/// How certificate and key stand.
type Stamps = [Option<FileStamp>; 2];

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
