//! Weights, and the forward pass of llama and qwen2 over them.
//!
//! The quantised products are candle's; all else is [`super::math`]. One sequence per pass, prompts in chunks of
//! [`PREFILL_CHUNK`], so that the order of every addition depends on the model and the prompt alone, never on load.

use std::{
    collections::HashMap,
    io::Cursor,
    sync::{Arc, Mutex},
};

use candle_core::{
    CpuStorage, CustomOp1, Device, Layout, Tensor,
    quantized::{QTensor, gguf_file::TensorInfo},
};

use super::math;
use crate::gguf::{Architecture, Dimensions, GgufError, ModelBytes};

/// Tokens of a prompt that go through the model together.
pub const PREFILL_CHUNK: usize = 128;
/// Attention work (multiplications) from which it is spread over threads.
const PARALLEL_ATTENTION: usize = 1 << 17;

/// A quantised matrix with an optional bias.
struct Linear {
    weight: Arc<QTensor>,
    inputs: usize,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// Applies the matrix to whole rows; gives the input back for reuse.
    fn apply(&self, input: Vec<f32>) -> Result<(Vec<f32>, Vec<f32>), candle_core::Error> {
        let rows = input.len() / self.inputs;
        let storage = CpuStorage::F32(input);
        let (output, _) = self.weight.cpu_fwd(&storage, &Layout::contiguous((rows, self.inputs)))?;
        let (CpuStorage::F32(mut output), CpuStorage::F32(input)) = (output, storage) else {
            candle_core::bail!("a quantised product is not in single precision")
        };
        if let Some(bias) = &self.bias {
            output.chunks_exact_mut(bias.len()).for_each(|row| math::add(row, bias));
        }
        Ok((output, input))
    }
}

struct Layer {
    attention_norm: Vec<f32>,
    query: Linear,
    key: Linear,
    value: Linear,
    attention_out: Linear,
    forward_norm: Vec<f32>,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// The weights of a model, shared by all requests.
pub(crate) struct Model {
    pub(crate) dimensions: Dimensions,
    embedding: Arc<QTensor>,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    output: Linear,
    /// Angle per position of each rotating pair.
    frequencies: Vec<f64>,
}

/// Keys and values of one sequence.
pub(crate) struct Cache {
    /// One buffer per layer and key-value head, positions in order.
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
    positions: usize,
}

/// Reads tensors of a file and checks their shapes.
struct Loader<'a> {
    model: &'a ModelBytes,
    reader: Cursor<&'a [u8]>,
}

impl<'a> Loader<'a> {
    fn info(&self, name: &str) -> Option<&'a TensorInfo> {
        self.model.content.tensor_infos.get(name)
    }

    fn quantised(&mut self, name: &str, shape: [usize; 2]) -> Result<Arc<QTensor>, GgufError> {
        let fault = || GgufError::Tensor { tensor: name.to_owned() };
        let info = self.info(name).ok_or_else(fault)?;
        if info.shape.dims() != shape || !shape[1].is_multiple_of(info.ggml_dtype.block_size()) {
            return Err(fault());
        }
        Ok(Arc::new(self.model.content.tensor(&mut self.reader, name, &Device::Cpu)?))
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, GgufError> {
        let fault = || GgufError::Tensor { tensor: name.to_owned() };
        let info = self.info(name).ok_or_else(fault)?;
        if info.shape.dims() != [length] {
            return Err(fault());
        }
        let tensor = self.model.content.tensor(&mut self.reader, name, &Device::Cpu)?;
        Ok(tensor.dequantize(&Device::Cpu)?.to_vec1::<f32>()?)
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, GgufError> {
        let weight = self.quantised(&format!("{name}.weight"), [outputs, inputs])?;
        let bias_name = format!("{name}.bias");
        let bias = match self.info(&bias_name) {
            Some(_) => Some(self.vector(&bias_name, outputs)?),
            None => None,
        };
        Ok(Linear { weight, inputs, bias })
    }
}

impl Model {
    /// Builds the weights from a file in memory.
    pub(crate) fn load(model: &ModelBytes) -> Result<Self, GgufError> {
        let dims = model.dimensions()?;
        refuse_unused(model)?;
        let mut loader = Loader { model, reader: Cursor::new(model.bytes.as_slice()) };
        let embedding = loader.quantised("token_embd.weight", [dims.vocabulary, dims.width])?;
        let output = match loader.info("output.weight") {
            Some(_) => loader.linear("output", dims.vocabulary, dims.width)?,
            None => Linear { weight: Arc::clone(&embedding), inputs: dims.width, bias: None },
        };
        let layers = (0..dims.layers).map(|index| Layer::load(&mut loader, &dims, index)).collect::<Result<_, _>>()?;
        let norm = loader.vector("output_norm.weight", dims.width)?;
        let pairs = dims.rope_width / 2;
        let mut frequencies: Vec<f64> = (0..pairs)
            .map(|pair| libm::pow(f64::from(dims.rope_base), -(2.0 * pair as f64) / dims.rope_width as f64))
            .collect();
        if loader.info("rope_freqs.weight").is_some() {
            let factors = loader.vector("rope_freqs.weight", pairs)?;
            for (frequency, factor) in frequencies.iter_mut().zip(factors) {
                *frequency /= f64::from(factor);
            }
        }
        Ok(Self { dimensions: dims, embedding, layers, norm, output, frequencies })
    }

    /// An empty cache.
    pub(crate) fn cache(&self) -> Cache {
        let buffers = self.dimensions.layers * self.dimensions.kv_heads;
        Cache { keys: vec![Vec::new(); buffers], values: vec![Vec::new(); buffers], positions: 0 }
    }

    /// Runs tokens (at most [`PREFILL_CHUNK`], each below the vocabulary) after those in the cache; gives the logits
    /// after the last one.
    pub(crate) fn forward(&self, tokens: &[u32], cache: &mut Cache) -> Result<Vec<f32>, candle_core::Error> {
        let dims = &self.dimensions;
        let ids = Tensor::from_slice(tokens, tokens.len(), &Device::Cpu)?;
        let mut stream = self.embedding.embedding(&ids)?.flatten_all()?.to_vec1::<f32>()?;
        let rotations = self.rotations(cache.positions, tokens.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let slot = index * dims.kv_heads..(index + 1) * dims.kv_heads;
            let normed = self.normed(&stream, &layer.attention_norm);
            let (mut query, normed) = layer.query.apply(normed)?;
            let (mut key, normed) = layer.key.apply(normed)?;
            let (value, _) = layer.value.apply(normed)?;
            self.rotate(&mut query, dims.heads, &rotations);
            self.rotate(&mut key, dims.kv_heads, &rotations);
            let (keys, values) = (&mut cache.keys[slot.clone()], &mut cache.values[slot]);
            append(keys, &key, dims.head_width);
            append(values, &value, dims.head_width);
            let attended = self.attention(&query, (keys, values), cache.positions);
            let (attended, _) = layer.attention_out.apply(attended)?;
            math::add(&mut stream, &attended);

            let normed = self.normed(&stream, &layer.forward_norm);
            let (mut gate, normed) = layer.gate.apply(normed)?;
            let (up, _) = layer.up.apply(normed)?;
            math::gate_silu(&mut gate, &up);
            let (down, _) = layer.down.apply(gate)?;
            math::add(&mut stream, &down);
        }
        cache.positions += tokens.len();
        let last = stream.len() - dims.width;
        let normed = self.normed(&stream[last..], &self.norm);
        Ok(self.output.apply(normed)?.0)
    }

    fn normed(&self, stream: &[f32], weight: &[f32]) -> Vec<f32> {
        let width = self.dimensions.width;
        let mut out = vec![0.0; stream.len()];
        for (row, out) in stream.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            math::rms_norm(row, weight, self.dimensions.epsilon, out);
        }
        out
    }

    /// Cosine and sine of each rotating pair, for each of `count` positions from `first`.
    fn rotations(&self, first: usize, count: usize) -> Vec<Vec<(f32, f32)>> {
        (first..first + count)
            .map(|position| {
                let turn = |frequency: &f64| {
                    let (sin, cos) = libm::sincos(position as f64 * frequency);
                    (cos as f32, sin as f32)
                };
                self.frequencies.iter().map(turn).collect()
            })
            .collect()
    }

    fn rotate(&self, rows: &mut [f32], heads: usize, rotations: &[Vec<(f32, f32)>]) {
        let width = self.dimensions.head_width;
        let half = self.dimensions.rope_width / 2;
        for (row, rotation) in rows.chunks_exact_mut(width * heads).zip(rotations) {
            for head in row.chunks_exact_mut(width) {
                for (pair, (cos, sin)) in rotation.iter().enumerate() {
                    let (one, two) = match self.dimensions.architecture {
                        Architecture::Llama => (2 * pair, 2 * pair + 1),
                        Architecture::Qwen2 => (pair, pair + half),
                    };
                    let (x, y) = (head[one], head[two]);
                    head[one] = x * cos - y * sin;
                    head[two] = x * sin + y * cos;
                }
            }
        }
    }

    /// Causal attention of each row over the cache; `first` is the position of the first row.
    fn attention(&self, query: &[f32], cache: (&[Vec<f32>], &[Vec<f32>]), first: usize) -> Vec<f32> {
        let dims = &self.dimensions;
        let (width, group) = (dims.head_width, dims.heads / dims.kv_heads);
        let mut out = vec![0.0; query.len()];
        let rows = query.len() / (width * dims.heads);
        let one = |task: usize, scores: &mut Vec<f32>, out: &mut [f32]| {
            let (row, head) = (task / dims.heads, task % dims.heads);
            let length = first + row + 1;
            scores.resize(length, 0.0);
            let keys = &cache.0[head / group][..length * width];
            let values = &cache.1[head / group][..length * width];
            math::attend(&query[task * width..(task + 1) * width], (keys, values), scores, out);
        };
        if query.len() * (first + rows) < PARALLEL_ATTENTION {
            let mut scores = Vec::new();
            out.chunks_exact_mut(width).enumerate().for_each(|(task, out)| one(task, &mut scores, out));
            return out;
        }
        let tasks: Vec<Mutex<&mut [f32]>> = out.chunks_exact_mut(width).map(Mutex::new).collect();
        candle_core::utils::barrier_pool().execute_chunked(tasks.len(), |range| {
            let mut scores = Vec::new();
            for task in range {
                // Each task is locked once, by one thread: the lock only proves that to the compiler.
                if let Ok(mut out) = tasks[task].lock() {
                    one(task, &mut scores, &mut out);
                }
            }
        });
        drop(tasks);
        out
    }
}

impl Layer {
    fn load(loader: &mut Loader<'_>, dims: &Dimensions, index: usize) -> Result<Self, GgufError> {
        let name = |tail: &str| format!("blk.{index}.{tail}");
        let (width, forward) = (dims.width, dims.feed_forward);
        let (queries, keys) = (dims.heads * dims.head_width, dims.kv_heads * dims.head_width);
        Ok(Self {
            attention_norm: loader.vector(&name("attn_norm.weight"), width)?,
            query: loader.linear(&name("attn_q"), queries, width)?,
            key: loader.linear(&name("attn_k"), keys, width)?,
            value: loader.linear(&name("attn_v"), keys, width)?,
            attention_out: loader.linear(&name("attn_output"), width, queries)?,
            forward_norm: loader.vector(&name("ffn_norm.weight"), width)?,
            gate: loader.linear(&name("ffn_gate"), forward, width)?,
            up: loader.linear(&name("ffn_up"), forward, width)?,
            down: loader.linear(&name("ffn_down"), width, forward)?,
        })
    }
}

/// Appends whole rows to the buffers of their heads.
fn append(buffers: &mut [Vec<f32>], rows: &[f32], width: usize) {
    for row in rows.chunks_exact(width * buffers.len()) {
        for (buffer, head) in buffers.iter_mut().zip(row.chunks_exact(width)) {
            buffer.extend_from_slice(head);
        }
    }
}

/// Refuses tensors that the forward pass would leave out: the answers would be another model's.
fn refuse_unused(model: &ModelBytes) -> Result<(), GgufError> {
    let known = ["token_embd.weight", "output.weight", "output.bias", "output_norm.weight", "rope_freqs.weight"];
    let tails = [
        "attn_norm.weight",
        "attn_q.weight",
        "attn_q.bias",
        "attn_k.weight",
        "attn_k.bias",
        "attn_v.weight",
        "attn_v.bias",
        "attn_output.weight",
        "attn_output.bias",
        "ffn_norm.weight",
        "ffn_gate.weight",
        "ffn_gate.bias",
        "ffn_up.weight",
        "ffn_up.bias",
        "ffn_down.weight",
        "ffn_down.bias",
    ];
    let infos: &HashMap<String, TensorInfo> = &model.content.tensor_infos;
    let unused = infos
        .keys()
        .filter(|name| {
            let tail = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')).map(|(_, tail)| tail);
            !known.contains(&name.as_str()) && !tail.is_some_and(|tail| tails.contains(&tail))
        })
        .min();
    match unused {
        None => Ok(()),
        Some(name) => Err(GgufError::Feature { feature: format!("the tensor `{name}`") }),
    }
}
