//! The opaque data of a GPU's report: type, length and value, little-endian, one after the other. It is signed, and says
//! which driver and firmware the measurements are of.
//!
//! Types that are unknown here are passed over: new drivers add some, and all of them are signed. Names of the types are
//! NVIDIA's.

use freehold_primitives::{GPU_VERSION_BYTES_MAX, GpuMode, Reader};

use crate::refusal::Refusal;

const DRIVER_VERSION: u16 = 3;
const VBIOS_VERSION: u16 = 6;
const CHIP_SKU: u16 = 15;
const PROJECT: u16 = 17;
const PROJECT_SKU: u16 = 18;
const FWID: u16 = 20;
const PROTECTED_PCIE_STATUS: u16 = 21;
const CHIP_INFO: u16 = 35;
const FEATURE_FLAG: u16 = 36;
/// Status byte: on. Its complement, 0x55, is off.
const ON: u8 = 0xaa;
const OFF: u8 = 0x55;
/// Most fields in one report.
const FIELDS_MAX: usize = 64;

/// What the fields say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opaque {
    /// Such as `550.90.07`.
    pub(crate) driver_version: String,
    /// Such as `96.00.9F.00.01`.
    pub(crate) vbios_version: String,
    /// Project, project SKU and chip SKU, which name the firmware's RIM file: `1010_0200_882`.
    pub(crate) board: String,
    /// SHA-384 of the firmware that signed.
    pub(crate) fwid: [u8; 48],
    pub(crate) mode: GpuMode,
    /// Chip, such as `GB202`; Hopper does not say.
    pub(crate) chip: Option<String>,
}

impl Opaque {
    /// Reads all fields.
    ///
    /// # Errors
    /// [`Refusal::GpuOpaqueData`] when lengths do not fit, a field comes twice, or one that is needed is missing or
    /// malformed.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        Self::parse(bytes).ok_or(Refusal::GpuOpaqueData)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let fields = fields(bytes)?;
        let field = |id: u16| fields.iter().find(|(other, _)| *other == id).map(|(_, value)| *value);
        let vbios = field(VBIOS_VERSION)?;
        let [c, b, a, z, d, 0, 0, 0] = *vbios else { return None };
        let board = [PROJECT, PROJECT_SKU, CHIP_SKU].map(|id| field(id).and_then(text));
        let [project, project_sku, chip_sku] = board;
        Some(Self {
            driver_version: field(DRIVER_VERSION).and_then(text)?,
            // Four bytes little-endian and one more: the order in which people write them.
            vbios_version: format!("{z:02X}.{a:02X}.{b:02X}.{c:02X}.{d:02X}"),
            board: format!("{}_{}_{}", project?, project_sku?, chip_sku?),
            fwid: field(FWID)?.try_into().ok()?,
            mode: mode(field(FEATURE_FLAG), field(PROTECTED_PCIE_STATUS))?,
            chip: field(CHIP_INFO).map(text).map_or(Some(None), |chip| chip.map(Some))?,
        })
    }
}

/// Types and values; `None` when lengths do not fit, or a type comes twice.
fn fields(bytes: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut reader = Reader::new(bytes);
    let mut fields: Vec<(u16, &[u8])> = Vec::new();
    while reader.finish().is_err() {
        let header = reader.take(4).ok()?;
        let id = u16::from_le_bytes([header[0], header[1]]);
        let value = reader.take(usize::from(u16::from_le_bytes([header[2], header[3]]))).ok()?;
        if fields.len() == FIELDS_MAX || fields.iter().any(|(other, _)| *other == id) {
            return None;
        }
        fields.push((id, value));
    }
    Some(fields)
}

/// ASCII letters, digits and dots, ended by NULs alone.
fn text(value: &[u8]) -> Option<String> {
    let end = value.iter().position(|byte| *byte == 0)?;
    let (text, padding) = value.split_at(end);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.';
    if text.is_empty() || text.len() > GPU_VERSION_BYTES_MAX || !text.iter().all(plain) {
        return None;
    }
    if padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    String::from_utf8(text.to_vec()).ok()
}

/// The mode: by the feature flag where there is one, which may not contradict the older status byte.
fn mode(flag: Option<&[u8]>, protected_pcie: Option<&[u8]>) -> Option<GpuMode> {
    let protected = match protected_pcie {
        None => None,
        Some([ON]) => Some(true),
        Some([OFF]) => Some(false),
        Some(_) => return None,
    };
    let mode = match flag {
        None if protected == Some(true) => GpuMode::ProtectedPcie,
        None | Some([0, 0]) => GpuMode::SinglePassthrough,
        Some([1, 0]) => GpuMode::MultiPassthrough,
        Some([2, 0]) => GpuMode::ProtectedPcie,
        Some(_) => return None,
    };
    match protected {
        Some(protected) if protected != (mode == GpuMode::ProtectedPcie) => None,
        _ => Some(mode),
    }
}
