//! Every rule refuses what is beyond it, and nothing else.

use super::*;

fn app(byte: u8) -> AppId {
    let mut bytes = [byte; 21];
    bytes[0] = 0;
    AppId::from_bytes(bytes).unwrap()
}

fn wish() -> Wish {
    Wish { app_id: app(1), token: Account::ZERO, price_per_second: 10, cpus: 2, memory_mib: 512 }
}

fn manifest(lines: &str) -> Manifest {
    let text = format!(
        "name: one\nversion: 0.1.0\ntee: tdx\nkind: raw\nresources: {{memory: 256, cpus: 1}}\nfreehold:\n  process: \
         {{files: app, command: [python3, main.py]}}\n{lines}"
    );
    Manifest::parse(text.as_bytes()).unwrap()
}

fn code(result: Result<(), Refusal>) -> Option<RefusalCode> {
    result.err().map(|refusal| refusal.code())
}

#[test]
fn rentals_are_refused_by_app_price_token_and_number() {
    let open = ProviderPolicy::default();
    assert_eq!(code(open.admits(&wish(), 3)), None);
    assert_eq!(code(open.admits(&wish(), 4)), Some(RefusalCode::Full));
    let named = ProviderPolicy { apps: vec![app(2)], ..open.clone() };
    assert_eq!(code(named.admits(&wish(), 0)), Some(RefusalCode::AppNotAllowed));
    assert_eq!(code(named.admits(&Wish { app_id: app(2), ..wish() }, 0)), None);
    let dear = ProviderPolicy { price_per_second_min: 11, ..open.clone() };
    assert_eq!(code(dear.admits(&wish(), 0)), Some(RefusalCode::Price));
    let token = Wish { token: Account([7; 20]), ..wish() };
    assert_eq!(code(open.admits(&token, 0)), Some(RefusalCode::Price));
    assert_eq!(code(ProviderPolicy { tokens: vec![token.token], ..open }.admits(&token, 0)), None);
}

#[test]
fn bundles_are_refused_by_kind_size_and_network() {
    let policy = ProviderPolicy { cpus_max: 1, memory_mib_max: 300, disk_mib_max: 10, ..ProviderPolicy::default() };
    let judged = |policy: &ProviderPolicy, lines: &str, disk: u64, wish: Wish| {
        code(policy.admits_manifest(&manifest(lines), disk, &wish))
    };
    assert_eq!(judged(&policy, "", 10, wish()), None);
    assert_eq!(judged(&policy, "", 11, wish()), Some(RefusalCode::Disk));
    assert_eq!(judged(&policy, "", 1, Wish { memory_mib: 255, ..wish() }), Some(RefusalCode::Memory));
    assert_eq!(judged(&policy, "", 1, Wish { cpus: 0, ..wish() }), Some(RefusalCode::Cpus));
    assert_eq!(judged(&policy, "  egress: open\n", 1, wish()), Some(RefusalCode::Egress));
    let open = ProviderPolicy { egress: AllowedEgress::Open, ..policy.clone() };
    assert_eq!(judged(&open, "  egress: open\n", 1, wish()), None);
    let small = ProviderPolicy { memory_mib_max: 200, ..policy.clone() };
    assert_eq!(judged(&small, "", 1, wish()), Some(RefusalCode::Memory));
    let containers = ProviderPolicy { kinds: vec![AllowedKind::Container], ..policy };
    assert_eq!(judged(&containers, "", 1, wish()), Some(RefusalCode::Kind));
}

#[test]
fn sources_are_those_below_a_named_address() {
    let sources = vec!["https://bundles.example/shop/".to_owned()];
    let policy = ProviderPolicy { sources, ..ProviderPolicy::default() };
    for good in ["https://bundles.example/shop", "https://bundles.example/shop/one"] {
        assert_eq!(code(policy.admits_source(good)), None, "{good}");
    }
    for bad in [
        "https://bundles.example/shopping",
        "https://bundles.example/shop/../other",
        "https://bundles.example/shop/%2e%2e/other",
        "https://bundles.example/shop/?to=http://10.0.0.1",
        "http://bundles.example/shop/one",
        "https://bundles.example@10.0.0.1/shop/one",
        "",
    ] {
        assert_eq!(code(policy.admits_source(bad)), Some(RefusalCode::Source), "{bad}");
    }
    assert_eq!(code(ProviderPolicy::default().admits_source("https://bundles.example/")), Some(RefusalCode::Source));
}
