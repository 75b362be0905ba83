//! A llama model of a few thousand weights: it says nothing sensible, but it runs everywhere in milliseconds.
#![allow(clippy::unwrap_used)]

use std::{fs::File, path::Path};

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor, gguf_file, gguf_file::Value},
};

const WIDTH: usize = 64;
const FORWARD: usize = 128;
const LAYERS: usize = 2;
const TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Changes that make a file the engine must refuse, or convert.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    Plain,
    Q4_1,
    OtherArchitecture,
    OtherTokenizer,
    OtherRule,
    UnknownTensor,
    Bf16,
    NoTemplate,
    MissingTensor,
}

pub(crate) fn write(path: &Path) {
    write_variant(path, Variant::Plain);
}

fn tensor(seed: &mut u64, shape: &[usize], scale: f32) -> Tensor {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|_| {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((*seed >> 40) as f32 / (1_u64 << 23) as f32 - 1.0) * scale
        })
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn vocabulary() -> (Vec<String>, Vec<i32>) {
    let mut next = 0x100;
    let mut tokens: Vec<String> = (0..=255_u8)
        .map(|byte| match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte).to_string(),
            _ => {
                next += 1;
                char::from_u32(next - 1).unwrap().to_string()
            }
        })
        .collect();
    let mut kinds = vec![1; 256];
    for special in ["<|im_start|>", "<|im_end|>"] {
        tokens.push(special.to_owned());
        kinds.push(3);
    }
    (tokens, kinds)
}

fn metadata(variant: Variant) -> Vec<(String, Value)> {
    let text = |text: &str| Value::String(text.to_owned());
    let (tokens, kinds) = vocabulary();
    let architecture = if variant == Variant::OtherArchitecture { "mamba" } else { "llama" };
    let mut entries = vec![
        ("general.architecture".to_owned(), text(architecture)),
        ("llama.block_count".to_owned(), Value::U32(LAYERS as u32)),
        ("llama.context_length".to_owned(), Value::U32(1024)),
        ("llama.embedding_length".to_owned(), Value::U32(WIDTH as u32)),
        ("llama.feed_forward_length".to_owned(), Value::U32(FORWARD as u32)),
        ("llama.attention.head_count".to_owned(), Value::U32(4)),
        ("llama.attention.head_count_kv".to_owned(), Value::U32(2)),
        ("llama.attention.layer_norm_rms_epsilon".to_owned(), Value::F32(1e-5)),
        ("llama.rope.freq_base".to_owned(), Value::F32(10_000.0)),
        ("tokenizer.ggml.model".to_owned(), text(if variant == Variant::OtherTokenizer { "llama" } else { "gpt2" })),
        ("tokenizer.ggml.pre".to_owned(), text(if variant == Variant::OtherRule { "tekken" } else { "smollm" })),
        ("tokenizer.ggml.tokens".to_owned(), Value::Array(tokens.into_iter().map(Value::String).collect())),
        ("tokenizer.ggml.token_type".to_owned(), Value::Array(kinds.into_iter().map(Value::I32).collect())),
        ("tokenizer.ggml.merges".to_owned(), Value::Array(vec![text("a b")])),
        ("tokenizer.ggml.eos_token_id".to_owned(), Value::U32(257)),
        ("tokenizer.ggml.bos_token_id".to_owned(), Value::U32(256)),
        ("tokenizer.ggml.add_bos_token".to_owned(), Value::Bool(false)),
    ];
    // The merge needs its product in the vocabulary.
    if let Some((_, Value::Array(tokens))) = entries.iter_mut().find(|(key, _)| key == "tokenizer.ggml.tokens") {
        tokens.push(text("ab"));
    }
    if let Some((_, Value::Array(kinds))) = entries.iter_mut().find(|(key, _)| key == "tokenizer.ggml.token_type") {
        kinds.push(Value::I32(1));
    }
    if variant != Variant::NoTemplate {
        entries.push(("tokenizer.chat_template".to_owned(), text(TEMPLATE)));
    }
    entries
}

pub(crate) fn write_variant(path: &Path, variant: Variant) {
    let mut seed = 7;
    let matrix = match variant {
        Variant::Q4_1 => GgmlDType::Q4_1,
        Variant::Bf16 => GgmlDType::BF16,
        _ => GgmlDType::Q8_0,
    };
    let mut tensors: Vec<(String, QTensor)> = Vec::new();
    let mut add = |name: &str, shape: &[usize], scale: f32| {
        let dtype = if shape.len() == 1 { GgmlDType::F32 } else { matrix };
        tensors.push((name.to_owned(), QTensor::quantize(&tensor(&mut seed, shape, scale), dtype).unwrap()));
    };
    add("token_embd.weight", &[259, WIDTH], 1.0);
    add("output_norm.weight", &[WIDTH], 1.0);
    for layer in 0..LAYERS {
        let mut block = |tail: &str, shape: &[usize]| add(&format!("blk.{layer}.{tail}.weight"), shape, 0.3);
        block("attn_norm", &[WIDTH]);
        block("attn_q", &[WIDTH, WIDTH]);
        block("attn_k", &[WIDTH / 2, WIDTH]);
        block("attn_v", &[WIDTH / 2, WIDTH]);
        block("attn_output", &[WIDTH, WIDTH]);
        block("ffn_norm", &[WIDTH]);
        block("ffn_gate", &[FORWARD, WIDTH]);
        block("ffn_up", &[FORWARD, WIDTH]);
        if variant != Variant::MissingTensor {
            block("ffn_down", &[WIDTH, FORWARD]);
        }
    }
    if variant == Variant::UnknownTensor {
        add("blk.0.attn_q_norm.weight", &[WIDTH], 1.0);
    }
    let metadata = metadata(variant);
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    gguf_file::write(&mut File::create(path).unwrap(), &metadata, &tensors).unwrap();
}
