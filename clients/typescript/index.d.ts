// Made by `cargo xtask clients` of spec/openapi.json: change that, not this.

/** Bytes in hex, without 0x in answers. */
export type Hex = string;
/** Bytes in padded standard base64. */
export type Base64 = string;

/** The batch that the app's data are of. */
export interface AdoptAsk {
  sequence: number;
}

/** Where the chain holds a log's root. */
export interface Anchor {
  height: number;
  index: number;
}

/** A durable receipt (spec/receipt.md). */
export interface AppendedReceipt {
  receipt: unknown;
  sequence: number;
}

/** What protects an instance. */
export interface Capabilities {
  encrypted_disk: boolean;
  hardware: boolean;
  isolation: string;
  measured: boolean;
  provider: string;
  tee: string;
}

/** All counters under a lease. */
export interface Counters {
  fence: number;
  header: Header;
  lease: string;
  sequence: number;
  values: Record<string, number>;
}

/** What the owner set, as environment variables. */
export interface Environment {
  environment: Record<string, Base64>;
  generation: number;
  missing?: Array<string>;
}

/** All that was asked for up to and with this header was told; or why the stream ends. */
export interface EventLine {
  error?: RefusalReason;
  header?: Header;
  life?: Array<LifeEvent>;
  logs?: Array<Log>;
}

/** What to fetch over HTTPS. */
export interface FetchAsk {
  body?: Base64 | null;
  body_bytes_max?: number | null;
  headers?: Array<Array<string>>;
  method?: "GET" | "POST";
  roots?: Array<Base64>;
  timeout_ms?: number | null;
  url: string;
}

/** What an instance says of one exchange (spec/fetch.md). */
export interface FetchRecord {
  app_id: string;
  block_hash: Hex;
  certificates: Hex;
  chain_id: number;
  genesis_hash: Hex;
  height: number;
  instance_id: Hex;
  method: "GET" | "POST";
  request_body: Hex;
  request_headers: Hex;
  response_body: Hex;
  roots: Hex;
  status: number;
  time_unix_s: number;
  url: string;
}

/** What came, and the account's signature under the record. */
export interface Fetched {
  body: Base64;
  format: string;
  headers: Array<Array<string>>;
  record: FetchRecord;
  signature: Hex;
}

/** Generations of the app's root key. */
export interface Generations {
  newest: number;
  previous: number | null;
  previous_until: number;
}

/** A certified header. */
export interface Header {
  block_hash: Hex;
  height: number;
  time_unix_s: number;
}

/** Whether the instance serves, and what it waits for. */
export interface Health {
  anchored: number;
  expires_at: number;
  ready: boolean;
  reason: string | null;
  receipts: number;
  stage: "waiting-for-chain" | "registering" | "waiting-for-keys" | "disk-refused" | "serving" | "stopped";
}

/** The key that bodies are sealed to. */
export interface HpkeConfig {
  key_config: Hex;
}

/** Encapsulated key and chunks of a sealed body. */
export interface HpkeOpenAsk {
  chunks: Array<Base64>;
  enc: Hex;
}

/** What was sealed; secret. */
export interface HpkeOpened {
  exported_secret: Hex;
  plaintext: Base64;
}

/** Where a receipt stands in the log. */
export interface Inclusion {
  anchor: Anchor | null;
  instance_id: Hex;
  leaf: Hex;
  path: Array<Hex>;
  root: Hex;
  sequence: number;
  size: number;
}

/** Which counter, and by how much. */
export interface IncrementAsk {
  by?: number;
  counter: string;
  lease: string;
}

/** A counter's value that no other increment got. */
export interface Incremented {
  fence: number;
  header: Header;
  sequence: number;
  value: number;
}

/** Who the instance is, and what protects it. */
export interface Instance {
  app_id: string;
  capabilities: Capabilities;
  chain_id: number;
  expires_at: number;
  genesis_hash: Hex;
  header: Header;
  instance_id: Hex;
  keyset: Keyset;
  keyset_digest: Hex;
  network_key: Hex;
  registered: boolean;
  subject: Subject;
  trust_domain: string;
}

/** A key; secret. */
export interface Key {
  generation: number;
  key: Hex;
}

/** Which key: of the newest generation and of scope app, where nothing else is said. */
export interface KeyAsk {
  generation?: number | null;
  key_id: string;
  kind: "raw-256" | "raw-384" | "ed25519" | "secp256k1";
  scope?: "app" | "provider" | "instance" | "service";
}

/** Public keys of an instance (spec/keyset.md); its RFC 8785 form is what the digest covers. */
export interface Keyset {
  e2ee_public_keys: Array<PublicKey>;
  not_after: number;
  receipt_signing_keys: Array<PublicKey>;
  subject: string;
  tls_public_keys: Array<unknown>;
}

/** A lease as the chain shows it, and what this instance has of it. */
export interface Lease {
  account: Hex | null;
  disk: LeaseDisk | null;
  expires_at: number;
  fence: number;
  header: Header;
  held: boolean;
  holder: Hex | null;
  name: string;
}

/** How long, and how long to wait for it. */
export interface LeaseAsk {
  length_s?: number;
  wait_s?: number;
}

/** The disk's memory of a lease's counters beside the chain's. */
export interface LeaseDisk {
  chain_sequence: number;
  disk_sequence: number;
  state: "current" | "behind";
}

/** What happened to the app; members beside the kind are those of the kind (spec/events.md). */
export interface LifeEvent {
  account?: Hex;
  code?: number;
  context?: string;
  expires_at?: number;
  generation?: number;
  instance_id?: Hex;
  kind: string;
  owner?: Hex;
  previous_until?: number;
  subject?: Hex;
  subject_kind?: number;
  version?: number;
}

/** A log of a contract. */
export interface Log {
  address: Hex;
  data: Hex;
  log_index: number;
  topics: Array<Hex>;
  transaction_hash: Hex;
}

/** An event that extended a runtime register. */
export interface MeasuredEvent {
  digest: Hex;
  event: string;
  event_payload: Hex;
  event_type: number;
  imr: number;
}

/** Another live instance, as the chain proves it. */
export interface Peer {
  account: Hex;
  expires_at: number;
  instance_id: Hex;
  keyset: Keyset | null;
  keyset_digest: Hex;
  measurement: Hex;
  opened_at: number;
  provider: Hex;
  trust_domain: string;
}

/** A message of a peer. */
export interface PeerOpenAsk {
  envelope: Base64;
}

/** The message, and whose it is. */
export interface PeerOpened {
  from: Hex;
  plaintext: Base64;
  sealed_at: number;
  sequence: number;
}

/** A message for a peer. */
export interface PeerSealAsk {
  plaintext: Base64;
}

/** The message, for nobody but the peer. */
export interface PeerSealed {
  envelope: Base64;
  sequence: number;
}

/** The other live instances of the app. */
export interface Peers {
  header: Header;
  peers: Array<Peer>;
}

/** A public key of a keyset. */
export interface PublicKey {
  algo: string;
  key_id: string;
  public_key: Hex;
}

/** Evidence that binds the keyset. */
export interface Quote {
  event_log: Array<MeasuredEvent>;
  quote: Hex;
  report_data: Hex;
  tee_type: string;
}

/** A nonce of 32 bytes, or none. */
export interface QuoteAsk {
  nonce: Hex | null;
}

/** What a receipt shall say. */
export interface ReceiptAsk {
  access: Hex | null;
  chat_id: string | null;
  endpoint: string;
  events: Array<unknown>;
  method: string;
  model: string | null;
  receipt_id: string;
}

/** Why nothing was done. */
export interface Refusal {
  error: RefusalReason;
}

/** A stable code, and a sentence for people. */
export interface RefusalReason {
  code: string;
  message: string;
}

/** An answer in CBOR. */
export interface RoflData {
  data: Hex;
}

/** A key; secret. */
export interface RoflKey {
  key: Hex;
}

/** Which key. */
export interface RoflKeyAsk {
  key_id: string;
  kind: "raw-256" | "raw-384" | "ed25519" | "secp256k1";
}

/** A question to the chain, its arguments in CBOR. */
export interface RoflQueryAsk {
  args: Hex;
  method: string;
}

/** A transaction to sign and submit. */
export interface RoflTransactionAsk {
  encrypt?: boolean;
  tx: unknown;
}

/** A setting without its value. */
export interface Setting {
  name: string;
  secret: boolean;
  set_at: number;
  state: "open" | "unreadable";
}

/** One value; secret where the setting is. */
export interface SettingValue {
  generation: number;
  name: string;
  secret: boolean;
  set_at: number;
  value: Base64;
}

/** What the owner set, without values. */
export interface Settings {
  changed_at: number;
  generation: number;
  header: Header;
  settings: Array<Setting>;
  spending: Spending | null;
}

/** Limits on what the account spends for its app; amounts in decimal. */
export interface Spending {
  contracts: Array<Hex>;
  may_create: boolean;
  per_day_count: number;
  per_day_wei: string;
  per_transaction_wei: string;
}

/** A receipt, and whose it is. */
export interface StoredReceipt {
  access: Hex | null;
  receipt: unknown;
}

/** What the id of an instance is the digest of. */
export interface Subject {
  account: Hex;
  app_id: string;
  chain_id: number;
  config_digest: Hex;
  genesis_hash: Hex;
  provider: Hex;
  transport_key: Hex;
}

/** The guest refused: a status, a stable code (empty on Oasis's paths), and a sentence. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
}

/** A client of one guest. */
export class Client {
  /** Without a path, of the socket that FREEHOLD_LOCAL_API names; the longest silence in milliseconds. */
  constructor(path?: string, timeout?: number);
  /**
   * Waits until this instance holds a lease, and gives the lease at each step for as long as it is held; where it is lost, waits anew.
   * Of all instances of the app one is in such a loop at a time, but for the step that it is in when the lease ends: look at `fence`,
   * which rises with each holder. Whoever leaves the loop lets the lease go.
   */
  leading(name: string, lengthS?: number): AsyncGenerator<Lease, void, void>;

  /** Raises a counter. `POST /freehold/v1/counters/increment` */
  increment(body: IncrementAsk): Promise<Incremented>;

  /** All counters under a lease. `GET /freehold/v1/counters/{lease}` */
  counters(lease: string): Promise<Counters>;

  /** What the owner set, as environment variables. `GET /freehold/v1/environment` */
  environment(): Promise<Environment>;

  /** Verified logs and the app's own life, from a height on and as they come. `GET /freehold/v1/events` */
  events(query?: { from?: number; address?: Array<Hex>; topic0?: Array<Hex>; topic1?: Array<Hex>; topic2?: Array<Hex>; topic3?: Array<Hex>; life?: boolean }): AsyncGenerator<EventLine, void, void>;

  /** Fetches over HTTPS, and signs what came. `POST /freehold/v1/fetch` */
  fetch(body: FetchAsk): Promise<Fetched>;

  /** Whether the instance serves, and what it waits for. `GET /freehold/v1/health` */
  health(): Promise<Health>;

  /** The key that bodies are sealed to. `GET /freehold/v1/hpke/config` */
  hpkeConfig(): Promise<HpkeConfig>;

  /** Opens a sealed body. `POST /freehold/v1/hpke/open` */
  hpkeOpen(body: HpkeOpenAsk): Promise<HpkeOpened>;

  /** Who the instance is, and what protects it. `GET /freehold/v1/instance` */
  instance(): Promise<Instance>;

  /** A key of a scope, under a generation of the root key. `POST /freehold/v1/keys/generate` */
  generateKey(body: KeyAsk): Promise<Key>;

  /** Generations of the app's root key; with `after`, once there is a newer one, or after a while. `GET /freehold/v1/keys/generations` */
  keyGenerations(query?: { after?: number }): Promise<Generations>;

  /** A lease. `GET /freehold/v1/leases/{name}` */
  lease(name: string): Promise<Lease>;

  /** Takes a lease, or renews it. `POST /freehold/v1/leases/{name}/acquire` */
  acquireLease(name: string, body: LeaseAsk): Promise<Lease>;

  /** Says that the app's data are the newest. `POST /freehold/v1/leases/{name}/adopt` */
  adoptCounters(name: string, body: AdoptAsk): Promise<Lease>;

  /** Lets a lease go. `POST /freehold/v1/leases/{name}/release` */
  releaseLease(name: string): Promise<Lease>;

  /** This document. `GET /freehold/v1/openapi.json` */
  document(): Promise<unknown>;

  /** The other live instances of the app. `GET /freehold/v1/peers` */
  peers(): Promise<Peers>;

  /** Opens a message of a peer, once. `POST /freehold/v1/peers/open` */
  openFromPeer(body: PeerOpenAsk): Promise<PeerOpened>;

  /** Seals a message for a peer. `POST /freehold/v1/peers/{id}/seal` */
  sealForPeer(id: string, body: PeerSealAsk): Promise<PeerSealed>;

  /** A quote over the keyset, for a nonce. `POST /freehold/v1/quote` */
  quote(body: QuoteAsk): Promise<Quote>;

  /** Signs and keeps a receipt. `POST /freehold/v1/receipts/append` */
  appendReceipt(body: ReceiptAsk): Promise<AppendedReceipt>;

  /** A receipt. `GET /freehold/v1/receipts/{id}` */
  receipt(id: string): Promise<StoredReceipt>;

  /** Where a receipt stands in the log. `GET /freehold/v1/receipts/{id}/inclusion` */
  inclusion(id: string): Promise<Inclusion>;

  /** Looks at the chain for a newer set, now. `POST /freehold/v1/reload` */
  reloadSettings(): Promise<Settings>;

  /** What the owner set, without values; with `after`, once there is a newer set, or after a while. `GET /freehold/v1/settings` */
  settings(query?: { after?: number }): Promise<Settings>;

  /** One value. `GET /freehold/v1/settings/{name}` */
  setting(name: string): Promise<SettingValue>;

  /** The app's id. `GET /rofl/v1/app/id` */
  roflAppId(): Promise<string>;

  /** A key of the app by its name. `POST /rofl/v1/keys/generate` */
  roflGenerateKey(body: RoflKeyAsk): Promise<RoflKey>;

  /** Removes metadata by its keys. `DELETE /rofl/v1/metadata` */
  roflRemoveMetadata(body: Array<string>): Promise<void>;

  /** The instance's metadata. `GET /rofl/v1/metadata` */
  roflMetadata(): Promise<Record<string, string>>;

  /** Replaces all metadata. `POST /rofl/v1/metadata` */
  roflSetMetadata(body: Record<string, string>): Promise<void>;

  /** Adds or changes metadata. `PUT /rofl/v1/metadata` */
  roflChangeMetadata(body: Record<string, string>): Promise<void>;

  /** Asks the chain; the answer is proven. `POST /rofl/v1/query` */
  roflQuery(body: RoflQueryAsk): Promise<RoflData>;

  /** Signs and submits a transaction, within the owner's limits. `POST /rofl/v1/tx/sign-submit` */
  roflSignSubmit(body: RoflTransactionAsk): Promise<RoflData>;
}
