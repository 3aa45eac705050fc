//! The Redis store with a fake server that can be slow, silent or gone.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use translate::reasoning::{ReasoningItem, Turn};

use super::*;

const SECRET: &str = "a secret of the replicas";
const LIMITS: StoreLimits = StoreLimits { bytes: 1 << 20, ttl: Duration::from_secs(60) };

type Entries = Arc<std::sync::Mutex<HashMap<Vec<u8>, Vec<u8>>>>;

/// Implements GET, SETEX and EXPIRE; answers OK to all other commands.
pub(in crate::reasoning_store) struct FakeRedis {
    entries: Entries,
    address: std::net::SocketAddr,
    connections: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl FakeRedis {
    pub(in crate::reasoning_store) async fn start() -> Self {
        Self::of(TcpListener::bind("127.0.0.1:0").await.unwrap(), Entries::default())
    }

    fn of(listener: TcpListener, entries: Entries) -> Self {
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (known, counted) = (Arc::clone(&entries), Arc::clone(&connections));
        let serving = tokio::spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                clients.spawn(serve(client, Arc::clone(&known)));
            }
        });
        Self { entries, address, connections, serving }
    }

    pub(in crate::reasoning_store) fn memory(&self) -> RedisStore {
        memory(&format!("redis://:pass@{}/2", self.address))
    }

    pub(in crate::reasoning_store) fn has_nothing_readable(&self, word: &str) {
        let entries = self.entries.lock().unwrap();
        assert!(!entries.is_empty());
        for part in entries.iter().flat_map(|(name, value)| [name, value]) {
            assert!(!String::from_utf8_lossy(part).contains(word));
        }
    }

    /// Stops the server and closes all connections.
    async fn stop(self) -> (std::net::SocketAddr, Entries) {
        self.serving.abort();
        let _ = self.serving.await;
        (self.address, self.entries)
    }
}

async fn serve(client: TcpStream, entries: Entries) {
    let mut client = BufReader::new(client);
    while let Some(command) = read(&mut client).await {
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        let answer = match words[..] {
            [b"GET", name] => match entries.lock().unwrap().get(name) {
                Some(value) => {
                    [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
                }
                None => b"$-1\r\n".to_vec(),
            },
            [b"SETEX", name, b"60", value] => {
                entries.lock().unwrap().insert(name.to_vec(), value.to_vec());
                b"+OK\r\n".to_vec()
            }
            [b"EXPIRE", _, b"60"] => b":1\r\n".to_vec(),
            [b"SETEX" | b"EXPIRE", ..] => b"-ERR wrong time\r\n".to_vec(),
            _ => b"+OK\r\n".to_vec(),
        };
        client.write_all(&answer).await.unwrap();
    }
}

/// Reads a command: an array of strings.
async fn read(client: &mut BufReader<TcpStream>) -> Option<Vec<Vec<u8>>> {
    let mut command = Vec::new();
    for _ in 0..number(client).await? {
        let mut word = vec![0; number(client).await? + 2];
        client.read_exact(&mut word).await.ok()?;
        word.truncate(word.len() - 2);
        command.push(word);
    }
    Some(command)
}

async fn number(client: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    client.read_line(&mut line).await.ok()?;
    line.get(1..)?.trim().parse().ok()
}

fn memory(url: &str) -> RedisStore {
    let (url, secret) = (AccountSecret::new(url), AccountSecret::new(SECRET));
    patient(RedisStore::new(&StoreSettings { url, secret }).unwrap())
}

/// Waits long for a store that does answer, as the machine may be busy.
fn patient(mut memory: RedisStore) -> RedisStore {
    memory.patience = Duration::from_secs(60);
    memory
}

fn kept(call: &str) -> SavedTurn {
    let turn = Turn::of_thoughts([ReasoningItem::Redacted("x".to_owned())]);
    SavedTurn { calls: vec![call.to_owned()], turn: Arc::new(turn) }
}

async fn knows(memory: &RedisStore, call: &str) -> bool {
    memory.restore(Caller(1), [call].into_iter(), LIMITS).await.knows(call)
}

#[tokio::test]
async fn only_replicas_with_the_same_secret_share() {
    let server = FakeRedis::start().await;
    let (one, two) = (server.memory(), server.memory());
    one.keep(Caller(1), &kept("c"), LIMITS).await;
    assert!(knows(&two, "c").await);
    let settings = StoreSettings { secret: AccountSecret::new("another"), ..one.settings.clone() };
    assert!(!knows(&patient(RedisStore::new(&settings).unwrap()), "c").await);
    let entry = |memory: &RedisStore| memory.seal.name(Caller(1), "c");
    server.entries.lock().unwrap().insert(entry(&one).into_bytes(), b"what is this".to_vec());
    assert!(!knows(&one, "c").await, "what cannot be opened is not known");
    assert_eq!(server.connections.load(Ordering::Relaxed), 3, "one each");
}

#[tokio::test]
async fn a_restarted_store_is_reconnected_at_once() {
    let server = FakeRedis::start().await;
    let memory = server.memory();
    memory.keep(Caller(1), &kept("c"), LIMITS).await;
    let (address, entries) = server.stop().await;
    let _server = FakeRedis::of(TcpListener::bind(address).await.unwrap(), entries);
    assert!(knows(&memory, "c").await);
    assert!(!memory.is_down.load(Ordering::Relaxed));
}

#[tokio::test]
async fn an_unavailable_or_silent_store_is_paused() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for address in [gone, deaf.local_addr().unwrap()] {
        let mut memory = memory(&format!("redis://{address}"));
        memory.patience = PATIENCE;
        let start = Instant::now();
        for _ in 0..1000 {
            memory.keep(Caller(1), &kept("c"), LIMITS).await;
            assert!(!knows(&memory, "c").await);
        }
        assert!(memory.is_down.load(Ordering::Relaxed));
        if address == gone {
            continue;
        }
        // One attempt to connect, and one more after each pause.
        let pauses = start.elapsed().as_millis() / PAUSE.as_millis();
        let mut connections = 0;
        while let Ok(Ok(_)) = timeout(Duration::from_millis(50), deaf.accept()).await {
            connections += 1;
        }
        assert!((1..=1 + pauses).contains(&connections), "{connections} connections");
    }
}

#[tokio::test]
async fn a_store_that_is_back_is_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let memory = memory(&format!("redis://{address}"));
    assert!(!knows(&memory, "c").await);
    let _server = FakeRedis::of(TcpListener::bind(address).await.unwrap(), Entries::default());
    // Ends the pause.
    memory.rests_until.store(0, Ordering::Relaxed);
    memory.keep(Caller(1), &kept("c"), LIMITS).await;
    assert!(knows(&memory, "c").await);
    assert!(!memory.is_down.load(Ordering::Relaxed));
}
