//! An app for every launcher, of the standard library alone: it answers each connection with a key of the app's and with what
//! the other paths of the local API say of it; `/model` reads its model; `/local/…` is passed on to the local API, `/store` counts in the app's storage, `/out`
//! asks the proxy for the host and port of its body. `vm.rs` compiles it without libraries of the machine.

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
    for stream in listener.incoming().flatten() {
        thread::spawn(move || answer(stream));
    }
}

/// The path of a request and its body.
fn request(stream: &mut UnixStream) -> std::io::Result<(String, String)> {
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Ok((head.split(' ').nth(1).unwrap_or_default().to_owned(), body.to_owned()));
            }
        }
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&piece[..count]);
    }
}

/// Counts in a file, durably.
fn store() -> std::io::Result<String> {
    let path = format!("{}/count", env::var("FREEHOLD_STORAGE").map_err(std::io::Error::other)?);
    let count = fs::read_to_string(&path).ok().and_then(|text| text.parse().ok()).unwrap_or(0_u64) + 1;
    let mut file = fs::File::create(&path)?;
    file.write_all(count.to_string().as_bytes())?;
    file.sync_all()?;
    Ok(format!("{{\"count\": {count}}}"))
}

/// What the proxy says of a way out.
fn out(target: &str) -> std::io::Result<String> {
    let proxy = env::var("HTTPS_PROXY").map_err(std::io::Error::other)?;
    let mut stream = std::net::TcpStream::connect(proxy.trim_start_matches("http://"))?;
    write!(stream, "CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n")?;
    let mut said = [0; 512];
    let count = stream.read(&mut said)?;
    let said = String::from_utf8_lossy(&said[..count]).into_owned();
    let direct = std::net::TcpStream::connect(target).is_ok();
    Ok(format!("{{\"said\": \"{}\", \"direct\": {direct}}}", said.split("\r\n").next().unwrap_or_default()))
}

/// What the app's model says, and that it can be found by both variables.
fn model() -> std::io::Result<String> {
    let [folder, file] = ["FREEHOLD_MODELS", "FREEHOLD_MODEL"].map(env::var);
    let (folder, file) = (folder.map_err(std::io::Error::other)?, file.map_err(std::io::Error::other)?);
    Ok(format!("{{\"model\": \"{}\", \"alone\": {}}}", fs::read_to_string(&file)?, fs::read_dir(folder)?.count() == 1))
}

fn answer(mut stream: UnixStream) {
    let answered = request(&mut stream).and_then(|(path, body)| match path.as_str() {
        "/store" => store(),
        "/out" => out(&body),
        "/model" => model(),
        path => match path.strip_prefix("/local") {
            Some(path) => {
                let socket = env::var("FREEHOLD_LOCAL_API").map_err(std::io::Error::other)?;
                let method = if body.is_empty() { "GET" } else { "POST" };
                ask(&socket, method, path, &body).map(|(_, answer)| answer)
            }
            None => report(),
        },
    });
    let (status, body) = match answered {
        Ok(body) => ("200 OK", body),
        Err(error) => ("500 Internal Server Error", format!("{{\"error\": \"{error}\"}}")),
    };
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
}
