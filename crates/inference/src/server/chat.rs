//! `POST /v1/chat/completions`, whole and streamed.
//!
//! The receipt is durable before the last bytes leave: a whole answer waits for it, a stream's `[DONE]` does. Where it
//! cannot be appended, the answer ends as an error, without `[DONE]`.

use std::{
    io,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use bytes::Bytes;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    RETRY_AFTER_S, STALL_WAIT, Service,
    error::ApiError,
    exchange::{Early, Exchange, TextTrail, Work, random_id, receive},
    queue::Piece,
    request::{self, ChatRequest},
};
use crate::engine::{Engine, Finish, Generation, Outcome, SEED_MAX};

const ENDPOINT: &str = "/v1/chat/completions";
/// Frames of a stream that wait for a slow reader.
const FRAMES_MAX: usize = 32;
const DONE: &[u8] = b"data: [DONE]\n\n";

/// A generation under way, with what its answer needs.
struct Answer {
    id: String,
    created: u64,
    model: String,
    fingerprint: String,
    include_usage: bool,
    work: Work,
    pieces: mpsc::UnboundedReceiver<Piece>,
}

pub(super) async fn handle(State(service): State<Arc<Service>>, http: Request) -> Response {
    let (mut exchange, body) = match receive(&service.local, ENDPOINT, http).await {
        Ok(received) => received,
        Err(early) => return early.into_response(),
    };
    let prepared = prepare(&service, &mut exchange, body).await;
    match prepared {
        Err(error) => refuse(&service, exchange, error).await,
        Ok((answer, false)) => whole(&service, exchange, answer).await,
        Ok((answer, true)) => streamed(service, exchange, answer),
    }
}

/// From bytes to a queued generation.
async fn prepare(service: &Service, exchange: &mut Exchange, body: Vec<u8>) -> Result<(Answer, bool), ApiError> {
    let body: Value =
        serde_json::from_slice(&body).map_err(|_| ApiError::malformed("The request body is not valid JSON."))?;
    exchange.model = request::model_of(&body);
    let mut chat = request::read(&body)?;
    let served = &service.engine.identity().name;
    if !chat.model.eq_ignore_ascii_case(served) {
        return Err(ApiError::model_not_found(&chat.model, served));
    }
    if !chat.seed_given && chat.sampling.temperature_milli > 0 {
        chat.sampling.seed = rand::rng().random_range(0..=SEED_MAX);
    }
    let engine = Arc::clone(&service.engine);
    let (chat, prompt) = tokio::task::spawn_blocking(move || {
        let prompt = engine.prompt(&chat.messages).map_err(|error| ApiError::from(&error));
        (chat, prompt)
    })
    .await
    .map_err(|_| ApiError::internal("The engine failed; the instance's log says why."))?;
    let prompt = prompt?;
    let ChatRequest { mut sampling, stops, stream, include_usage, .. } = chat;
    let context = service.engine.context();
    if prompt.len() >= context {
        let message = format!("The prompt has {} tokens; the context is {context}.", prompt.len());
        return Err(ApiError::invalid("messages", message).with_code("context_length_exceeded"));
    }
    sampling.max_tokens = sampling.max_tokens.min(u32::try_from(context - prompt.len()).unwrap_or(u32::MAX));
    let generation = Generation { prompt, sampling: sampling.clone(), stops };
    let pieces = service.queue.submit(generation).ok_or_else(|| ApiError::busy(RETRY_AFTER_S))?;
    let id = random_id("chatcmpl-");
    exchange.chat_id = Some(id.clone());
    let answer = Answer {
        id,
        created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs()),
        model: served.clone(),
        fingerprint: fingerprint(&service.engine),
        include_usage,
        work: Work { sampling, stream: TextTrail::default() },
        pieces,
    };
    Ok((answer, stream))
}

fn fingerprint(engine: &Engine) -> String {
    let weights = engine.identity().weights_sha256.to_string();
    format!("fp_{}", weights.get(..12).unwrap_or(&weights))
}

/// A refusal with a receipt.
async fn refuse(service: &Service, mut exchange: Exchange, error: ApiError) -> Response {
    let Ok(wire) = exchange.emit(&error.body()) else { return broken() };
    let mut response = exchange.response(error.status, "application/json");
    if let Some(seconds) = error.retry_after_s {
        response.headers_mut().insert(axum::http::header::RETRY_AFTER, seconds.into());
    }
    *response.body_mut() = Body::from(wire);
    match exchange.append(&service.local, &service.engine, None).await {
        Ok(()) => response,
        Err(fault) => unrecorded(&fault),
    }
}

fn broken() -> Response {
    Early::Api(ApiError::internal("The response cannot be encrypted.")).into_response()
}

/// The receipt could not be made durable: nothing of the answer leaves.
fn unrecorded(fault: &freehold_rpc::HttpError) -> Response {
    tracing::error!(error = %fault, "a receipt could not be appended; the answer was withheld");
    Early::Api(ApiError::unavailable("The receipt could not be recorded; nothing was answered.")).into_response()
}

async fn whole(service: &Service, mut exchange: Exchange, mut answer: Answer) -> Response {
    let mut text = String::new();
    let outcome = loop {
        match answer.pieces.recv().await {
            Some(Piece::Token(piece)) => {
                answer.work.stream.token(&piece);
                text.push_str(&piece);
            }
            Some(Piece::Rest(piece)) => {
                answer.work.stream.rest(&piece);
                text.push_str(&piece);
            }
            Some(Piece::Done(Ok(outcome))) => break outcome,
            Some(Piece::Done(Err(error))) => return refuse(service, exchange, ApiError::from(&error)).await,
            None => return refuse(service, exchange, ApiError::internal("The engine failed.")).await,
        }
    };
    let body = json!({
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "system_fingerprint": answer.fingerprint,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": null},
            "logprobs": null,
            "finish_reason": finish_reason(&outcome),
        }],
        "usage": usage(&outcome),
    });
    let Ok(wire) = exchange.emit(body.to_string().as_bytes()) else { return broken() };
    let mut response = exchange.response(StatusCode::OK, "application/json");
    *response.body_mut() = Body::from(wire);
    match exchange.append(&service.local, &service.engine, Some(answer.work)).await {
        Ok(()) => response,
        Err(fault) => unrecorded(&fault),
    }
}

fn finish_reason(outcome: &Outcome) -> &'static str {
    match outcome.finish {
        Finish::Length => "length",
        Finish::Stop | Finish::Cancelled => "stop",
    }
}

fn usage(outcome: &Outcome) -> Value {
    json!({
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.completion_tokens,
        "total_tokens": outcome.prompt_tokens.saturating_add(outcome.completion_tokens),
    })
}

fn streamed(service: Arc<Service>, exchange: Exchange, answer: Answer) -> Response {
    let mut response = exchange.response(StatusCode::OK, "text/event-stream");
    let (frames, reader) = mpsc::channel(FRAMES_MAX);
    let stream = futures::stream::unfold(reader, |mut reader: mpsc::Receiver<io::Result<Bytes>>| async move {
        reader.recv().await.map(|frame| (frame, reader))
    });
    *response.body_mut() = Body::from_stream(stream);
    tokio::spawn(async move {
        let writer = Writer { exchange, frames };
        if let Err(fault) = writer.run(&service, answer).await {
            tracing::debug!(?fault, "a stream ended early");
        }
    });
    response
}

/// Why a stream ended before its `[DONE]`.
#[derive(Debug)]
enum StreamFault {
    /// The reader went away, or took nothing for too long.
    Reader,
    /// A frame could not be encrypted.
    Sealing,
    /// The receipt could not be appended.
    Receipt,
}

/// Writes a stream's frames.
struct Writer {
    exchange: Exchange,
    frames: mpsc::Sender<io::Result<Bytes>>,
}

impl Writer {
    async fn run(mut self, service: &Service, mut answer: Answer) -> Result<(), StreamFault> {
        let first = json!({"role": "assistant", "content": "", "refusal": null});
        self.send(&answer.chunk(first, None)).await?;
        let outcome = loop {
            let text = match answer.pieces.recv().await {
                Some(Piece::Token(text)) => {
                    answer.work.stream.token(&text);
                    text
                }
                Some(Piece::Rest(text)) => {
                    answer.work.stream.rest(&text);
                    text
                }
                Some(Piece::Done(Ok(outcome))) => break outcome,
                Some(Piece::Done(Err(_))) | None => return self.fail(service, answer.work).await,
            };
            if !text.is_empty() {
                self.send(&answer.chunk(json!({ "content": text }), None)).await?;
            }
        };
        self.send(&answer.chunk(json!({}), Some(finish_reason(&outcome)))).await?;
        if answer.include_usage {
            self.send(&answer.usage_chunk(&outcome)).await?;
        }
        self.end(service, answer.work, DONE).await
    }

    async fn send(&mut self, plain: &[u8]) -> Result<(), StreamFault> {
        let wire = self.exchange.emit(plain).map_err(|_| StreamFault::Sealing)?;
        push(&self.frames, Ok(wire)).await
    }

    /// The last frame: counted, recorded, and only then sent.
    async fn end(mut self, service: &Service, work: Work, last: &[u8]) -> Result<(), StreamFault> {
        let wire = self.exchange.emit(last).map_err(|_| StreamFault::Sealing)?;
        if let Err(error) = self.exchange.append(&service.local, &service.engine, Some(work)).await {
            tracing::error!(%error, "a receipt could not be appended; the stream ends without [DONE]");
            // An error in the body breaks the connection, so that no reader takes the answer for whole.
            let _ = push(&self.frames, Err(io::Error::other("the receipt could not be recorded"))).await;
            return Err(StreamFault::Receipt);
        }
        push(&self.frames, Ok(wire)).await
    }

    /// The engine broke: an error frame ends the stream, recorded like an answer, without `[DONE]`.
    async fn fail(self, service: &Service, work: Work) -> Result<(), StreamFault> {
        let error = ApiError::internal("The engine failed; the instance's log says why.");
        let frame = [b"data: ".as_slice(), &error.body(), b"\n\n"].concat();
        self.end(service, work, &frame).await
    }
}

async fn push(frames: &mpsc::Sender<io::Result<Bytes>>, frame: io::Result<Bytes>) -> Result<(), StreamFault> {
    match tokio::time::timeout(STALL_WAIT, frames.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(StreamFault::Reader),
    }
}

impl Answer {
    fn chunk(&self, delta: Value, finish_reason: Option<&str>) -> Vec<u8> {
        let choices = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]);
        self.frame(choices, None)
    }

    fn usage_chunk(&self, outcome: &Outcome) -> Vec<u8> {
        self.frame(json!([]), Some(usage(outcome)))
    }

    fn frame(&self, choices: Value, usage: Option<Value>) -> Vec<u8> {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
        });
        if self.include_usage {
            chunk["usage"] = usage.unwrap_or(Value::Null);
        }
        format!("data: {chunk}\n\n").into_bytes()
    }
}
