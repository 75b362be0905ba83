//! Events in plain words, one line each, for people: `freehold attest inspect` shows them.
//!
//! Everything that came from a log is bounded and made printable ASCII: a log may not write to a terminal.

use super::{
    app::{AppFact, SYSTEM_READY},
    names::EventType,
    replay::Rtmr,
    runtime::{LoggedEvent, RuntimeLog},
    tcg::{Cover, LogKind, TcgEvent, TcgLog},
};

/// Most characters of an event's data that are shown.
const TEXT_CHARS_MAX: usize = 120;
/// Most bytes of a variable's value that are shown.
const VALUE_BYTES_MAX: usize = 16;

/// When an event was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// By firmware, boot loader or kernel.
    Firmware,
    /// By the guest until `system-ready`.
    Boot,
    /// After that, or in a log without that mark: by anything that runs in the guest.
    Late,
}

/// One event, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLine {
    /// `RTMR0` to `RTMR3`, `PCR7`, `MRTD`; `-` where nothing is extended.
    pub register: String,
    /// Name of the type, with the number of an unknown one.
    pub event_type: String,
    /// The strongest digest, in hex.
    pub digest: String,
    /// What the data says, printable and short.
    pub text: String,
    /// Whether the digest covers the data.
    pub cover: Cover,
    /// When it was logged.
    pub phase: Phase,
}

impl TcgLog<'_> {
    /// A line for each event.
    pub fn lines(&self) -> impl Iterator<Item = EventLine> + '_ {
        self.events().iter().map(|event| line(event, self.kind()))
    }
}

fn line(event: &TcgEvent<'_>, kind: LogKind) -> EventLine {
    let index = event.index();
    let register = match kind {
        _ if !event.is_extended() => "-".to_owned(),
        LogKind::Tpm => format!("PCR{index}"),
        LogKind::ConfidentialGuest => {
            let rtmr = index.checked_sub(1).and_then(Rtmr::from_number);
            rtmr.map_or_else(|| "MRTD".to_owned(), |rtmr| rtmr.name().to_owned())
        }
    };
    let strongest = event.digests.iter().max_by_key(|(_, digest)| digest.len());
    EventLine {
        register,
        event_type: type_name(event.event_type()),
        digest: strongest.map(|(_, digest)| hex::encode(digest)).unwrap_or_default(),
        text: data_text(event.event_type(), event.data()),
        cover: event.cover(),
        phase: Phase::Firmware,
    }
}

impl RuntimeLog {
    /// A line for each event.
    pub fn lines(&self) -> impl Iterator<Item = EventLine> + '_ {
        let has_boundary = self.app_events().any(|event| event.name == SYSTEM_READY);
        let mut phase = if has_boundary { Phase::Boot } else { Phase::Late };
        self.events().iter().map(move |logged| match logged {
            LoggedEvent::Firmware { register, event_type, digest, label, data } => {
                let data = data_text(*event_type, data);
                EventLine {
                    register: register.name().to_owned(),
                    event_type: type_name(*event_type),
                    digest: digest.to_string(),
                    text: if label.is_empty() { data } else { format!("{} ({data})", printable(label.as_bytes())) },
                    cover: logged.cover(),
                    phase: Phase::Firmware,
                }
            }
            LoggedEvent::App { digest, event } => {
                let name = printable(event.name.as_bytes());
                let payload = match AppFact::read(event) {
                    Ok(AppFact::KeyProvider(provider)) => {
                        printable(format!("{} {}", provider.name, provider.id).as_bytes())
                    }
                    Ok(AppFact::StorageFs(text)) => printable(text.as_bytes()),
                    _ => value(&event.payload, TEXT_CHARS_MAX / 2),
                };
                let line = EventLine {
                    register: Rtmr::Rtmr3.name().to_owned(),
                    event_type: EventType(0x0800_0001).name().to_owned(),
                    digest: digest.to_string(),
                    text: if payload.is_empty() { name } else { format!("{name} = {payload}") },
                    cover: Cover::Data,
                    phase,
                };
                if event.name == SYSTEM_READY {
                    phase = Phase::Late;
                }
                line
            }
        })
    }
}

fn type_name(event_type: EventType) -> String {
    match event_type.name() {
        "unknown" => format!("unknown {:#010x}", event_type.0),
        name => name.to_owned(),
    }
}

/// What the data of a firmware event says.
fn data_text(event_type: EventType, data: &[u8]) -> String {
    let structured = match event_type.name() {
        "EV_EFI_VARIABLE_DRIVER_CONFIG"
        | "EV_EFI_VARIABLE_BOOT"
        | "EV_EFI_VARIABLE_BOOT2"
        | "EV_EFI_VARIABLE_AUTHORITY" => variable(data),
        "EV_EFI_BOOT_SERVICES_APPLICATION" | "EV_EFI_BOOT_SERVICES_DRIVER" | "EV_EFI_RUNTIME_SERVICES_DRIVER" => {
            image(data)
        }
        "EV_EFI_GPT_EVENT" | "EV_EFI_GPT_EVENT2" => partitions(data),
        "EV_EVENT_TAG" => tagged(data),
        "EV_SEPARATOR" => separator(data),
        // A length, then a name, then addresses.
        "EV_EFI_PLATFORM_FIRMWARE_BLOB2" | "EV_EFI_HANDOFF_TABLES2" => {
            data.split_first().and_then(|(length, rest)| rest.get(..usize::from(*length))).map(printable)
        }
        _ => None,
    };
    structured.unwrap_or_else(|| printable(data))
}

fn separator(data: &[u8]) -> Option<String> {
    match data {
        [0, 0, 0, 0] => Some("boot begins".to_owned()),
        [0xff, 0xff, 0xff, 0xff] => Some("boot begins (ff)".to_owned()),
        _ => None,
    }
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(data: &[u8], at: usize) -> Option<usize> {
    let value = data.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)?;
    usize::try_from(value).ok()
}

/// `UEFI_VARIABLE_DATA`: GUID, characters of the name, bytes of the value, name in UTF-16, value.
fn variable(data: &[u8]) -> Option<String> {
    let name_bytes = u64_at(data, 16)?.checked_mul(2)?;
    let value_bytes = u64_at(data, 24)?;
    let name = data.get(32..)?.get(..name_bytes)?;
    let content = data.get(32..)?.get(name_bytes..)?;
    if content.len() != value_bytes {
        return None;
    }
    let text = match content {
        [] => "absent".to_owned(),
        [b' '..=b'~', b' '..=b'~', b' '..=b'~', ..] => ascii(content),
        _ => value(content, VALUE_BYTES_MAX),
    };
    Some(format!("{} = {text}", wide(name)))
}

/// `UEFI_IMAGE_LOAD_EVENT`: address, bytes, link-time address, bytes of the device path, device path.
fn image(data: &[u8]) -> Option<String> {
    let bytes = u64_at(data, 8)?;
    let path_bytes = u64_at(data, 24)?;
    let path = data.get(32..)?.get(..path_bytes)?;
    Some(format!("image of {bytes} bytes, {}", file_of(path).unwrap_or_else(|| format!("path of {path_bytes} bytes"))))
}

/// The file that a device path ends in (UEFI 2.10 §10.3.5.4: media device path, file path).
fn file_of(mut path: &[u8]) -> Option<String> {
    while let [kind, subtype, low, high, ..] = path {
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let node = path.get(4..length)?;
        if (*kind, *subtype) == (4, 4) {
            return Some(wide(node));
        }
        path = path.get(length..)?;
    }
    None
}

/// `UEFI_GPT_DATA`: the header of the table, 92 bytes, then how many partitions follow.
fn partitions(data: &[u8]) -> Option<String> {
    data.starts_with(b"EFI PART").then_some(())?;
    Some(format!("partition table of {} partitions", u64_at(data, 92)?))
}

/// `TCG_PCClientTaggedEvent`: tag, length, data.
fn tagged(data: &[u8]) -> Option<String> {
    let tag = u32_at(data, 0)?;
    let length = usize::try_from(u32_at(data, 4)?).ok()?;
    let text = data.get(8..).filter(|text| text.len() == length)?;
    Some(format!("{tag:#010x} {}", printable(text)))
}

/// Text where it is text, else hex of its begin and its length.
fn value(bytes: &[u8], bytes_max: usize) -> String {
    let head = &bytes[..bytes.len().min(bytes_max)];
    if bytes.len() > bytes_max {
        format!("{}… ({} bytes)", hex::encode(head), bytes.len())
    } else {
        hex::encode(head)
    }
}

fn wide(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units).map(|unit| unit.unwrap_or('?')).collect();
    printable(text.as_bytes())
}

/// Printable ASCII, at most [`TEXT_CHARS_MAX`] characters. UTF-16 of ASCII is recognised; other bytes are shown in hex.
fn printable(bytes: &[u8]) -> String {
    let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    let is_wide = bytes.len() >= 4 && bytes.len().is_multiple_of(2) && bytes.chunks_exact(2).all(|pair| pair[1] == 0);
    if is_wide {
        let narrow: Vec<u8> = bytes.chunks_exact(2).map(|pair| pair[0]).collect();
        return ascii(narrow.strip_suffix(&[0]).unwrap_or(&narrow));
    }
    ascii(text)
}

fn ascii(text: &[u8]) -> String {
    let text = text.trim_ascii_end();
    let is_text = text.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t' | b'\r'));
    if !is_text {
        return value(text, TEXT_CHARS_MAX / 4);
    }
    let mut short: String = text
        .iter()
        .take(TEXT_CHARS_MAX)
        .map(|byte| if byte.is_ascii_control() { ' ' } else { char::from(*byte) })
        .collect();
    if text.len() > TEXT_CHARS_MAX {
        short.push('…');
    }
    short
}
