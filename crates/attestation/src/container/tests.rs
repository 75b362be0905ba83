//! Forms by their beginnings, bounds, and what is wrong with malformed ones.

use freehold_emulator::{
    AppImage, DEVELOPMENT_SEED, EmulatedGpu, NitroCondition, NitroEnclave, NitroPlatform, Platform, SnpCondition,
    SnpGuest, SnpPlatform, TdReport,
};
use freehold_primitives::{
    Blob, Canonical as _, Digest, EvidenceBundle, EvidenceKind, GpuArchitecture, SnpProduct, SnpSigningKey,
};

use super::{CONTAINER_BYTES_MAX, Container, Endorsements, Format};
use crate::Refusal;

const NOW: u64 = 1_795_000_000;

fn app() -> AppImage {
    AppImage { executable: Digest::ZERO, arguments: Vec::new(), model: None }
}

fn quote() -> Vec<u8> {
    Platform::new(&DEVELOPMENT_SEED).quote_v4(&TdReport::launch(&Digest::ZERO, &app()), &[7; 64])
}

fn check(bytes: &[u8], expected: Result<Format, Refusal>) {
    assert_eq!(Container::read(bytes, None).map(|container| container.format()), expected);
}

#[test]
fn bytes_say_what_they_are() {
    let quote = quote();
    check(&quote, Ok(Format::Tdx));
    let snp = SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa);
    let guest = SnpGuest::launch(&Digest::ZERO, &app());
    check(&snp.evidence(&guest, &[7; 64], SnpSigningKey::Vcek, SnpCondition::Good), Ok(Format::Snp));
    let nitro = NitroPlatform::new(&DEVELOPMENT_SEED);
    let enclave = NitroEnclave::launch(&Digest::ZERO, &app());
    check(&nitro.evidence(&enclave, &[7; 64], NOW, NitroCondition::Good), Ok(Format::Nitro));
    let gpu = EmulatedGpu::nth(&DEVELOPMENT_SEED, GpuArchitecture::Hopper, 0).evidence(&[1; 32]);
    check(&gpu, Ok(Format::Nvidia));
    let bundle = EvidenceBundle { primary_kind: EvidenceKind::Tdx, primary: Blob(quote), gpus: vec![Blob(gpu)] };
    check(&bundle.to_canonical(), Ok(Format::Bundle));
}

#[test]
fn text_around_bytes() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let quote = quote();
    let hex = hex::encode(&quote);
    let base64 = BASE64_STANDARD.encode(&quote);
    let pem = pem::encode(&pem::Pem::new("SGX QUOTE", quote.clone()));
    let forms = [
        hex.clone(),
        format!("0x{hex}\n"),
        base64.clone(),
        base64.replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned(),
        pem,
        format!("{{\"quote\":\"{hex}\",\"event_log\":\"[]\"}}"),
        format!("{{\"quote\":{quote:?}}}"),
    ];
    for form in forms {
        let Ok(Container::Quote { quote: found, .. }) = Container::read(form.as_bytes(), None) else {
            panic!("{}", &form[..40])
        };
        assert_eq!(found, quote);
    }
}

#[test]
fn malformed_containers_have_their_codes() {
    let quote = quote();
    let hex = hex::encode(&quote);
    check(b"", Err(Refusal::ContainerFormat));
    check(b"hello world, no evidence", Err(Refusal::ContainerFormat));
    check(&[0xff; 64], Err(Refusal::ContainerFormat));
    check(&quote[..20], Err(Refusal::ContainerFormat));
    check(&vec![b'a'; CONTAINER_BYTES_MAX + 1], Err(Refusal::ContainerTooLong));
    check(&[quote.as_slice(), &vec![0; CONTAINER_BYTES_MAX]].concat(), Err(Refusal::ContainerTooLong));
    check(format!("{{\"quote\":\"{hex}\",\"quote\":\"{hex}\"}}").as_bytes(), Err(Refusal::ContainerJson));
    check(b"{\"quote\":", Err(Refusal::ContainerJson));
    check(b"{\"quote\":1.5}", Err(Refusal::ContainerJson));
    check(b"{\"quote\":\"not hex\"}", Err(Refusal::ContainerText));
    check(b"{\"quote\":[1,2,300]}", Err(Refusal::ContainerJson));
    check(b"{\"other\":\"00\"}", Err(Refusal::ContainerFormat));
    check(b"[]", Err(Refusal::ContainerPart));
    check(b"[{\"evidence\":\"00\"}]", Err(Refusal::ContainerPart));
    check(b"HCLA", Err(Refusal::ContainerPart));
    check(b"-----BEGIN X-----\nzzz", Err(Refusal::ContainerPart));
    check(b"\xa2\x63tcb\xa0\x65quote\x41\x00", Err(Refusal::ContainerPart));
    check(b"\xa2\x63tcb\xa0\x63tcb\xa0", Err(Refusal::ContainerFormat));
}

#[test]
fn a_stated_format_is_kept_to() {
    let quote = quote();
    assert_eq!(Container::read(&quote, Some(Format::Sgx)), Err(Refusal::KindMismatch));
    assert_eq!(Container::read(&quote, Some(Format::Snp)), Err(Refusal::KindMismatch));
    // What says nothing is taken for it, and its own verifier speaks.
    let cut = Container::read(&quote[..20], Some(Format::Tdx)).unwrap();
    assert_eq!(cut.prepare(&Endorsements::default(), &[], NOW), Err(Refusal::EvidenceTruncated));
    let cut = Container::read(&[2; 100], Some(Format::Snp)).unwrap();
    assert_eq!(cut.prepare(&Endorsements::default(), &[], NOW), Err(Refusal::EvidenceTruncated));
    for format in Format::ALL {
        assert_eq!(Format::of_name(format.as_str()), Some(*format));
    }
}

#[test]
fn collateral_files_are_sorted_by_what_they_are() {
    let mut beside = Endorsements::default();
    let platform = Platform::new(&DEVELOPMENT_SEED);
    assert_eq!(beside.add(&platform.collateral(NOW)), Ok(()));
    assert_eq!(beside.add(&platform.root_certificate()), Ok(()));
    assert_eq!(beside.add(hex::encode(platform.root_certificate()).as_bytes()), Ok(()));
    assert_eq!((beside.whole.len(), beside.certificates.len()), (1, 1));
    assert_eq!(beside.add(b"# a page about collateral"), Err(Refusal::ContainerFormat));
    assert_eq!(beside.add(b"{\"signature\":\"\",\"signature\":\"\"}"), Err(Refusal::ContainerJson));
    assert_eq!(beside.add(b"{\"tcbInfo\":{},\"signature\":\"00\"}"), Err(Refusal::ContainerText));
    assert_eq!(beside.add(&[0; CONTAINER_BYTES_MAX + 1]), Err(Refusal::ContainerTooLong));
}
