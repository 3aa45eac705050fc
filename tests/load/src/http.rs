//! As much of HTTP/1.1 as the two programs need: messages over kept connections, with a length or in chunks.

use std::io::{Error, ErrorKind, Result};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const READ: usize = 64 * 1024;

/// A connection and the bytes that were read from it ahead of their use.
pub struct Connection {
    pub stream: TcpStream,
    read: Vec<u8>,
}

/// The start line and the headers of a message.
pub struct Head {
    text: String,
}

impl Head {
    /// The words of the first line.
    pub fn start(&self) -> impl Iterator<Item = &str> {
        self.text.lines().next().unwrap_or_default().split(' ')
    }

    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.text.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut found = pairs.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }

    /// Bytes of the body; `None` if it comes in chunks.
    pub fn length(&self) -> Option<usize> {
        self.header("content-length").and_then(|length| length.parse().ok())
    }

    pub fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked"))
    }
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, read: Vec::with_capacity(READ) }
    }

    /// The next head; `None` if the connection ended before it.
    pub async fn head(&mut self) -> Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.read[..end]).into_owned();
                self.read.drain(..end + 4);
                return Ok(Some(Head { text }));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The next `length` bytes.
    pub async fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.read.len() < length {
            self.must_fill().await?;
        }
        Ok(self.read.drain(..length).collect())
    }

    /// The next chunk of a body; empty at its end.
    pub async fn chunk(&mut self) -> Result<Vec<u8>> {
        let end = loop {
            match find(&self.read, b"\r\n") {
                Some(end) => break end,
                None => self.must_fill().await?,
            }
        };
        let text = String::from_utf8_lossy(&self.read[..end]).into_owned();
        let size = text.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(size, 16).map_err(|_| {
            Error::new(ErrorKind::InvalidData, format!("a chunk of {size:?} bytes"))
        })?;
        self.read.drain(..end + 2);
        let mut chunk = self.exactly(length + 2).await?;
        chunk.truncate(length);
        Ok(chunk)
    }

    async fn must_fill(&mut self) -> Result<()> {
        match self.fill().await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn fill(&mut self) -> Result<usize> {
        self.read.reserve(READ);
        self.stream.read_buf(&mut self.read).await
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
