//! A small web server on this machine.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// What the server says to a path.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Body(Vec<u8>),
    Redirect(String),
    /// A `Content-Length` that the body does not have.
    Announce(u64),
    /// A body without length that never ends.
    Endless,
    /// Nothing at all.
    Silence,
}

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) requests: Arc<AtomicUsize>,
    replies: Arc<Mutex<HashMap<String, Reply>>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (replies, requests) = (Arc::<Mutex<HashMap<_, _>>>::default(), Arc::default());
        let server = Self { url, requests, replies };
        let (replies, requests) = (Arc::downgrade(&server.replies), server.requests.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(replies) = replies.upgrade() else { return };
                let requests: Arc<AtomicUsize> = requests.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &replies, &requests));
            }
        });
        server
    }

    pub(crate) fn reply(&self, path: &str, reply: Reply) {
        self.replies.lock().unwrap().insert(path.into(), reply);
    }
}

fn serve(mut stream: TcpStream, replies: &Mutex<HashMap<String, Reply>>, requests: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut path = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        path = path.or_else(|| Some(line.split(' ').nth(1)?.to_owned()));
        if line.trim().is_empty() {
            break;
        }
    }
    requests.fetch_add(1, Ordering::SeqCst);
    let reply = replies.lock().unwrap().get(&path.unwrap()).cloned();
    let close = "Connection: close\r\n";
    // The client may go away at any time.
    let _ = match reply {
        None => write!(stream, "HTTP/1.1 404 Not Found\r\n{close}Content-Length: 0\r\n\r\n"),
        Some(Reply::Redirect(to)) => {
            write!(
                stream,
                "HTTP/1.1 302 Found\r\n{close}Location: {to}\r\nContent-Length: 0\r\n\r\n"
            )
        }
        Some(Reply::Body(body)) => {
            let length = body.len();
            write!(stream, "HTTP/1.1 200 OK\r\n{close}Content-Length: {length}\r\n\r\n")
                .and_then(|()| stream.write_all(&body))
        }
        Some(Reply::Announce(length)) => {
            write!(stream, "HTTP/1.1 200 OK\r\n{close}Content-Length: {length}\r\n\r\nabc")
        }
        Some(Reply::Endless) => {
            let mut sent = write!(stream, "HTTP/1.1 200 OK\r\n{close}\r\n");
            while sent.is_ok() {
                sent = stream.write_all(&[b' '; 4096]);
            }
            sent
        }
        Some(Reply::Silence) => {
            std::thread::sleep(Duration::from_secs(5));
            Ok(())
        }
    };
}
