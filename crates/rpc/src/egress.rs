//! How a program inside finds the gate to the outside (`docs/network.md`).

/// Environment variable with the path of the gate's socket, for what starts a program inside.
pub const EGRESS_VARIABLE: &str = "FREEHOLD_EGRESS";

/// Variables by which programs find a proxy at a loopback port. Names are resolved behind it (`socks5h`).
pub fn proxy_variables(port: u16) -> [(&'static str, String); 6] {
    let (http, socks) = (format!("http://127.0.0.1:{port}"), format!("socks5h://127.0.0.1:{port}"));
    let own = || "localhost,127.0.0.1,::1".to_owned();
    [
        ("HTTPS_PROXY", http.clone()),
        ("https_proxy", http),
        ("ALL_PROXY", socks.clone()),
        ("all_proxy", socks),
        ("NO_PROXY", own()),
        ("no_proxy", own()),
    ]
}
