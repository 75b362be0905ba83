//! Seeds of the fuzz entries: what registries, people and helpers say.

/// Seeds of an entry.
///
/// # Panics
/// When there is no such entry.
pub fn seeds(entry: &str) -> Vec<Vec<u8>> {
    let digest = "ab".repeat(32);
    let texts = match entry {
        "registry_reference" => vec![
            "redis".to_owned(),
            "docker.io/library/redis:7".to_owned(),
            "registry.example.org:5000/shop/web-a_b:1.2".to_owned(),
            "localhost:5000/web".to_owned(),
            format!("oci://127.0.0.1:5/a@sha256:{digest}"),
        ],
        "registry_challenge" => vec![
            "Basic realm=\"x\"".to_owned(),
            "Bearer realm=\"https://a.example/token\",service=\"r\",scope=\"repository:a,b:pull\"".to_owned(),
            "bearer scope=x, realm=https://a/t".to_owned(),
            "Bearer realm=\"a\\\"b\\\\\"".to_owned(),
        ],
        "registry_passwords" => vec![
            r#"{"auths": {"h.example": {"auth": "YWxpY2U6c2VjcmV0"}, "https://index.docker.io/v1/": {}}}"#.to_owned(),
            r#"{"credHelpers": {"h.example": "gcloud"}, "credsStore": "desktop", "auths": {}}"#.to_owned(),
        ],
        "registry_helper" => vec![
            r#"{"ServerURL": "h.example", "Username": "alice", "Secret": "secret"}"#.to_owned(),
            r#"{"Username": "<token>", "Secret": "x"}"#.to_owned(),
        ],
        "registry_referrers" => vec![format!(
            r#"{{"schemaVersion": 2, "manifests": [{{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 7,
                "digest": "sha256:{digest}", "artifactType": "application/vnd.freehold.app.images.v1"}}]}}"#
        )],
        other => panic!("no seeds for {other}"),
    };
    texts.into_iter().map(String::into_bytes).collect()
}
