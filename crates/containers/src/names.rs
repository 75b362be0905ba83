//! Names by which an app finds what it is given: variables and sockets, ours and those of released clients.

/// Environment variable with the path of the guest's local API socket.
pub const LOCAL_API_VARIABLE: &str = "FREEHOLD_LOCAL_API";
/// Environment variable with the path of the socket that the app must listen on.
pub const APP_SOCKET_VARIABLE: &str = "FREEHOLD_APP_SOCKET";
/// Where released clients of dstack, newer and older, look for the local API's socket.
pub const DSTACK_VARIABLES: [&str; 2] = ["DSTACK_SIMULATOR_ENDPOINT", "TAPPD_SIMULATOR_ENDPOINT"];
/// Where released clients of dstack and of ROFL look for it without a word; `/var/run` leads to `/run`.
pub const CLIENT_SOCKETS: [&str; 3] = ["/run/dstack.sock", "/run/tappd.sock", "/run/rofl-appd.sock"];
/// Where a program looks for the system's.
pub const PROGRAM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Port of the gate in the network of an app's own.
pub const PROXY_PORT: u16 = 3128;
/// Environment variable with the path of the app's model file, where it has one alone.
pub const MODEL_VARIABLE: &str = "FREEHOLD_MODEL";
/// Environment variable with the folder of the app's model files.
pub const MODELS_VARIABLE: &str = "FREEHOLD_MODELS";
/// That folder, where an app has a root of its own.
pub const MODELS_DIR: &str = "/models";
