//! An app for every launcher, of the standard library alone: it answers each connection with a key of the app's and with what
//! the other paths of the local API say of it. `vm.rs` compiles it without libraries of the machine.

use std::{
    env, fs,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    process, thread,
};

/// Asks the local API behind a socket: the status line's code and the body.
fn ask(socket: &str, method: &str, path: &str, body: &str) -> std::io::Result<(String, String)> {
    let mut stream = UnixStream::connect(socket)?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nhost: guest\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let code = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    Ok((code, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}

fn report() -> std::io::Result<String> {
    let socket = env::var("FREEHOLD_LOCAL_API").map_err(std::io::Error::other)?;
    let wish = r#"{"key_id": "both-launchers", "kind": "raw-256"}"#;
    let (_, key) = ask(&socket, "POST", "/rofl/v1/keys/generate", wish)?;
    // Where released clients of ROFL look without a word.
    let (_, app) = ask("/run/rofl-appd.sock", "GET", "/rofl/v1/app/id", "")?;
    let (code, _) = ask(&socket, "GET", "/freehold/v1/health", "")?;
    let greeting = env::var("GREETING").unwrap_or_default();
    let network = fs::read_dir("/sys/class/net").map(|all| all.count()).unwrap_or_default();
    Ok(format!(
        r#"{{"key": {key}, "app": "{}", "health": {code}, "greeting": "{greeting}", "network": {network}}}"#,
        app.trim()
    ))
}

fn main() {
    println!("words on the output");
    eprintln!("words on the error");
    // A host that is gone ends its apps.
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    });
    let socket = env::var("FREEHOLD_APP_SOCKET").expect("a socket to listen on");
    let listener = UnixListener::bind(socket).expect("the socket can be bound");
    for mut stream in listener.incoming().flatten() {
        let mut request = Vec::new();
        let mut piece = [0; 1024];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut piece) {
                Ok(count @ 1..) => request.extend_from_slice(&piece[..count]),
                _ => break,
            }
        }
        let (status, body) = match report() {
            Ok(body) => ("200 OK", body),
            Err(error) => ("500 Internal Server Error", format!("{{\"error\": \"{error}\"}}")),
        };
        let length = body.len();
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
    }
}
