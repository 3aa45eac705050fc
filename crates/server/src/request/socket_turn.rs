//! Requests that come as messages of a WebSocket, one after another on one connection.

use std::sync::Arc;

use super::options::CallMode;
use crate::reasoning_store::ConnectionResponses;

/// One message of a WebSocket, as a request.
#[derive(Debug, Clone)]
pub(crate) struct SocketTurn {
    /// Responses of the connection.
    pub(crate) kept: Arc<ConnectionResponses>,
    pub(crate) mode: CallMode,
}
