//! Shapes of the local API's bodies, once, in short words: the OpenAPI document is made of them, and the clients of that.
//!
//! A type is `string`, `integer`, `boolean`, `hex`, `base64`, `any`, `=a,b` (one of these texts), `[T]` (a list), `{T}` (values by name) or
//! the name of a schema, and `|null` behind it where it may be null. A member is `name:type`, `name?:type` where it may be missing.

/// One shape.
pub(super) struct Schema {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) members: &'static [&'static str],
}

const fn schema(name: &'static str, about: &'static str, members: &'static [&'static str]) -> Schema {
    Schema { name, about, members }
}

/// All shapes that have names.
pub(super) const SCHEMAS: &[Schema] = &[
    schema("Refusal", "Why nothing was done.", &["error:RefusalReason"]),
    schema("RefusalReason", "A stable code, and a sentence for people.", &["code:string", "message:string"]),
    schema("Header", "A certified header.", &["height:integer", "block_hash:hex", "time_unix_s:integer"]),
    // Oasis's paths.
    schema("RoflKeyAsk", "Which key.", &["key_id:string", "kind:=raw-256,raw-384,ed25519,secp256k1"]),
    schema("RoflKey", "A key; secret.", &["key:hex"]),
    schema("RoflTransactionAsk", "A transaction to sign and submit.", &["encrypt?:boolean", "tx:any"]),
    schema("RoflQueryAsk", "A question to the chain, its arguments in CBOR.", &["method:string", "args:hex"]),
    schema("RoflData", "An answer in CBOR.", &["data:hex"]),
    // The instance.
    schema(
        "Instance",
        "Who the instance is, and what protects it.",
        &[
            "app_id:string",
            "instance_id:hex",
            "chain_id:integer",
            "genesis_hash:hex",
            "network_key:hex",
            "keyset:Keyset",
            "keyset_digest:hex",
            "subject:Subject",
            "trust_domain:string",
            "capabilities:Capabilities",
            "registered:boolean",
            "expires_at:integer",
            "header:Header",
        ],
    ),
    schema(
        "Keyset",
        "Public keys of an instance (spec/keyset.md); its RFC 8785 form is what the digest covers.",
        &[
            "e2ee_public_keys:[PublicKey]",
            "not_after:integer",
            "receipt_signing_keys:[PublicKey]",
            "subject:string",
            "tls_public_keys:[any]",
        ],
    ),
    schema("PublicKey", "A public key of a keyset.", &["algo:string", "key_id:string", "public_key:hex"]),
    schema(
        "Subject",
        "What the id of an instance is the digest of.",
        &[
            "chain_id:integer",
            "genesis_hash:hex",
            "app_id:string",
            "provider:hex",
            "account:hex",
            "transport_key:hex",
            "config_digest:hex",
        ],
    ),
    schema(
        "Capabilities",
        "What protects an instance.",
        &[
            "tee:string",
            "provider:string",
            "isolation:string",
            "measured:boolean",
            "encrypted_disk:boolean",
            "hardware:boolean",
        ],
    ),
    schema(
        "Health",
        "Whether the instance serves, and what it waits for.",
        &[
            "ready:boolean",
            "stage:=waiting-for-chain,registering,waiting-for-keys,disk-refused,serving,stopped",
            "reason:string|null",
            "expires_at:integer",
            "receipts:integer",
            "anchored:integer",
        ],
    ),
    // Keys, quotes, sealed bodies.
    schema(
        "Generations",
        "Generations of the app's root key.",
        &["newest:integer", "previous:integer|null", "previous_until:integer"],
    ),
    schema(
        "KeyAsk",
        "Which key: of the newest generation and of scope app, where nothing else is said.",
        &[
            "key_id:string",
            "kind:=raw-256,raw-384,ed25519,secp256k1",
            "generation?:integer|null",
            "scope?:=app,provider,instance,service",
        ],
    ),
    schema("Key", "A key; secret.", &["key:hex", "generation:integer"]),
    schema("QuoteAsk", "A nonce of 32 bytes, or none.", &["nonce:hex|null"]),
    schema(
        "Quote",
        "Evidence that binds the keyset.",
        &["quote:hex", "report_data:hex", "tee_type:string", "event_log:[MeasuredEvent]"],
    ),
    schema(
        "MeasuredEvent",
        "An event that extended a runtime register.",
        &["imr:integer", "event_type:integer", "digest:hex", "event:string", "event_payload:hex"],
    ),
    schema("HpkeConfig", "The key that bodies are sealed to.", &["key_config:hex"]),
    schema("HpkeOpenAsk", "Encapsulated key and chunks of a sealed body.", &["enc:hex", "chunks:[base64]"]),
    schema("HpkeOpened", "What was sealed; secret.", &["plaintext:base64", "exported_secret:hex"]),
    // Receipts.
    schema(
        "ReceiptAsk",
        "What a receipt shall say.",
        &[
            "receipt_id:string",
            "chat_id:string|null",
            "model:string|null",
            "endpoint:string",
            "method:string",
            "access:hex|null",
            "events:[any]",
        ],
    ),
    schema("AppendedReceipt", "A durable receipt (spec/receipt.md).", &["receipt:any", "sequence:integer"]),
    schema("StoredReceipt", "A receipt, and whose it is.", &["receipt:any", "access:hex|null"]),
    schema(
        "Inclusion",
        "Where a receipt stands in the log.",
        &[
            "instance_id:hex",
            "sequence:integer",
            "leaf:hex",
            "size:integer",
            "root:hex",
            "path:[hex]",
            "anchor:Anchor|null",
        ],
    ),
    schema("Anchor", "Where the chain holds a log's root.", &["index:integer", "height:integer"]),
    // Fetches.
    schema(
        "FetchAsk",
        "What to fetch over HTTPS.",
        &[
            "url:string",
            "method?:=GET,POST",
            "headers?:[[string]]",
            "body?:base64|null",
            "roots?:[base64]",
            "body_bytes_max?:integer|null",
            "timeout_ms?:integer|null",
        ],
    ),
    schema(
        "Fetched",
        "What came, and the account's signature under the record.",
        &["format:string", "record:FetchRecord", "signature:hex", "headers:[[string]]", "body:base64"],
    ),
    schema(
        "FetchRecord",
        "What an instance says of one exchange (spec/fetch.md).",
        &[
            "chain_id:integer",
            "genesis_hash:hex",
            "app_id:string",
            "instance_id:hex",
            "height:integer",
            "block_hash:hex",
            "time_unix_s:integer",
            "method:=GET,POST",
            "url:string",
            "request_headers:hex",
            "request_body:hex",
            "roots:hex",
            "certificates:hex",
            "status:integer",
            "response_body:hex",
        ],
    ),
    // What the owner set.
    schema(
        "Settings",
        "What the owner set, without values.",
        &["generation:integer", "changed_at:integer", "settings:[Setting]", "spending:Spending|null", "header:Header"],
    ),
    schema(
        "Setting",
        "A setting without its value.",
        &["name:string", "secret:boolean", "set_at:integer", "state:=open,unreadable"],
    ),
    schema(
        "Spending",
        "Limits on what the account spends for its app; amounts in decimal.",
        &[
            "per_transaction_wei:string",
            "per_day_wei:string",
            "per_day_count:integer",
            "contracts:[hex]",
            "may_create:boolean",
        ],
    ),
    schema(
        "SettingValue",
        "One value; secret where the setting is.",
        &["name:string", "value:base64", "secret:boolean", "set_at:integer", "generation:integer"],
    ),
    schema(
        "Environment",
        "What the owner set, as environment variables.",
        &["generation:integer", "environment:{base64}", "missing?:[string]"],
    ),
    // Leases and counters.
    schema("LeaseAsk", "How long, and how long to wait for it.", &["length_s?:integer", "wait_s?:integer"]),
    schema(
        "Lease",
        "A lease as the chain shows it, and what this instance has of it.",
        &[
            "name:string",
            "fence:integer",
            "holder:hex|null",
            "account:hex|null",
            "expires_at:integer",
            "held:boolean",
            "disk:LeaseDisk|null",
            "header:Header",
        ],
    ),
    schema(
        "LeaseDisk",
        "The disk's memory of a lease's counters beside the chain's.",
        &["state:=current,behind", "disk_sequence:integer", "chain_sequence:integer"],
    ),
    schema("AdoptAsk", "The batch that the app's data are of.", &["sequence:integer"]),
    schema("IncrementAsk", "Which counter, and by how much.", &["lease:string", "counter:string", "by?:integer"]),
    schema(
        "Incremented",
        "A counter's value that no other increment got.",
        &["value:integer", "sequence:integer", "fence:integer", "header:Header"],
    ),
    schema(
        "Counters",
        "All counters under a lease.",
        &["lease:string", "sequence:integer", "fence:integer", "values:{integer}", "header:Header"],
    ),
    // Events.
    schema(
        "EventLine",
        "All that was asked for up to and with this header was told; or why the stream ends.",
        &["header?:Header", "logs?:[Log]", "life?:[LifeEvent]", "error?:RefusalReason"],
    ),
    schema(
        "Log",
        "A log of a contract.",
        &["address:hex", "topics:[hex]", "data:hex", "transaction_hash:hex", "log_index:integer"],
    ),
    schema(
        "LifeEvent",
        "What happened to the app; members beside the kind are those of the kind (spec/events.md).",
        &[
            "kind:string",
            "instance_id?:hex",
            "account?:hex",
            "expires_at?:integer",
            "code?:integer",
            "version?:integer",
            "generation?:integer",
            "context?:string",
            "previous_until?:integer",
            "subject_kind?:integer",
            "subject?:hex",
            "owner?:hex",
        ],
    ),
    // Peers.
    schema("Peers", "The other live instances of the app.", &["peers:[Peer]", "header:Header"]),
    schema(
        "Peer",
        "Another live instance, as the chain proves it.",
        &[
            "instance_id:hex",
            "provider:hex",
            "account:hex",
            "keyset_digest:hex",
            "keyset:Keyset|null",
            "measurement:hex",
            "trust_domain:string",
            "opened_at:integer",
            "expires_at:integer",
        ],
    ),
    schema("PeerSealAsk", "A message for a peer.", &["plaintext:base64"]),
    schema("PeerSealed", "The message, for nobody but the peer.", &["envelope:base64", "sequence:integer"]),
    schema("PeerOpenAsk", "A message of a peer.", &["envelope:base64"]),
    schema(
        "PeerOpened",
        "The message, and whose it is.",
        &["from:hex", "sequence:integer", "sealed_at:integer", "plaintext:base64"],
    ),
];
