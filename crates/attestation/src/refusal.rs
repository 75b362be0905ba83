//! Why evidence or collateral is refused: stable numeric codes in five classes (`spec/evidence.md` §5).
//!
//! Codes enter consensus and never change their meaning; texts are for people and may change. A code is 100 times its
//! class plus a number within it.

use thiserror::Error;

/// What kind of refusal a code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum RefusalClass {
    /// The bytes are malformed, not canonical, or a signature over them is wrong.
    Invalid = 1,
    /// Well-formed, but not vouched for by a root of trust, or revoked by it.
    Untrusted = 2,
    /// Right at another time.
    Expired = 3,
    /// Something needed for a verdict is missing.
    Unavailable = 4,
    /// Genuine, but not what the policy accepts.
    Policy = 5,
}

macro_rules! refusals {
    ($($(#[$meta:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// A refusal with its stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
        #[repr(u16)]
        #[non_exhaustive]
        pub enum Refusal {
            $($(#[$meta])* #[error($text)] $name = $code,)*
        }

        impl Refusal {
            /// Every refusal, by code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The refusal with this code.
            pub const fn from_code(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

refusals! {
    /// Evidence is longer than its bound.
    EvidenceTooLong = 101, "evidence is longer than its bound";
    /// Evidence ends inside a field, or a length field claims more than is there.
    EvidenceTruncated = 102, "evidence ends inside a field";
    /// Bytes stand behind a field that should end the evidence.
    EvidenceTrailing = 103, "evidence carries bytes behind its end";
    /// Not a quote of a known version and body, with ECDSA-P256 keys by Intel's quoting enclave format.
    QuoteFormat = 104, "not a TDX quote of version 4 or 5 or an SGX quote of version 3, signed with ECDSA-P256";
    /// Certification data is not a PCK chain (type 5; around it type 6 from version 4 on), or its authentication data not 32
    /// bytes.
    CertificationType = 105, "certification data is not a PCK certificate chain";
    /// A signature in the quote is not in the lower half (`canonicalise` fixes that).
    SignatureNotCanonical = 106, "a signature in the quote is not in its canonical lower half";
    /// The PCK chain is not exactly three canonical PEM certificates and one NUL.
    ChainNotCanonical = 107, "the PCK certificate chain is not in its canonical form";
    /// The attestation key did not sign this header and body.
    QuoteSignature = 108, "the signature over the quote's header and body is wrong";
    /// The quoting enclave did not vouch for this attestation key.
    QuotingEnclaveBinding = 109, "the quoting enclave's report does not bind the attestation key";
    /// The PCK did not sign this quoting enclave report.
    QuotingEnclaveSignature = 110, "the signature over the quoting enclave's report is wrong";
    /// The PCK certificate lacks the platform's identity or garbles it.
    PlatformCertificate = 111, "the PCK certificate does not describe a platform";
    /// Collateral, or a part of it, is longer than its bound.
    CollateralTooLong = 120, "collateral is longer than its bound";
    /// Collateral is not a canonical document.
    CollateralFormat = 121, "collateral is not a canonical document";
    /// TCB info or QE identity is not JSON of the known form, or repeats a name.
    CollateralJson = 122, "TCB info or QE identity is not well-formed";
    /// TCB info or QE identity is not signed by its signer.
    CollateralSignature = 123, "the signature over TCB info or QE identity is wrong";
    /// An issuer chain in the collateral is malformed.
    CollateralChain = 124, "an issuer chain in the collateral is malformed";
    /// A revocation list is malformed or its signature is wrong.
    RevocationList = 125, "a revocation list is malformed or wrongly signed";
    /// A configured root certificate cannot be read.
    RootMalformed = 126, "a root certificate cannot be read";
    /// The genesis lists one root certificate twice, so that its domain would be ambiguous.
    RootRepeated = 127, "a root certificate is listed twice";
    /// This kind of evidence cannot be judged here: a GPU alone, or a kind without a verifier.
    EvidenceKind = 128, "this kind of evidence cannot be judged here";
    /// The evidence is of another kind than stated.
    KindMismatch = 129, "the evidence is of another kind than stated";
    /// Not an SEV-SNP report of version 2 to 5 with an ECDSA P-384 signature.
    SnpReportFormat = 130, "not an SEV-SNP report of version 2 to 5 signed with ECDSA P-384";
    /// A byte or bit of the report that is not in use is set.
    SnpReserved = 131, "a part of the report that is not in use is set";
    /// The report names no key that signed it, or the platform withholds the key.
    SnpUnsigned = 132, "no key signed the report";
    /// The VCEK or VLEK did not sign this report.
    SnpSignature = 133, "the signature over the report is wrong";
    /// The certificate behind the report is not a canonical VCEK or VLEK certificate of the kind that the report names.
    SnpEndorsement = 134, "the certificate behind the report is not of a VCEK or VLEK";
    /// GPU evidence is not a canonical document of a report and five certificates.
    GpuEvidenceFormat = 140, "GPU evidence is not a canonical document of a report and five certificates";
    /// The report is not an SPDM 1.1 request and response with 64 measurements.
    GpuReportFormat = 141, "the GPU's report is not an SPDM 1.1 request and response with 64 measurements";
    /// The report's opaque data is malformed, repeats a field or lacks one that is needed.
    GpuOpaqueData = 142, "the opaque data of the GPU's report is malformed or lacks a field";
    /// A certificate is no strict DER, or not P-384 with SHA-384.
    GpuCertificate = 143, "a certificate is not strict DER with P-384 and SHA-384";
    /// The leaf's key did not sign this request and response.
    GpuReportSignature = 144, "the signature over the GPU's report is wrong";
    /// The leaf certificate lacks its TcbInfo extension or garbles it.
    GpuTcbInfo = 145, "the leaf certificate does not say which firmware holds its key";
    /// A RIM file is XML outside the accepted subset, or lacks a part.
    RimFormat = 146, "the RIM file is not in the accepted form";
    /// The content of a RIM file is not what its signature covers.
    RimDigest = 147, "the RIM file's content does not match its signed digest";
    /// A RIM file's signature is wrong.
    RimSignature = 148, "the signature of the RIM file is wrong";
    /// Measurements in a RIM file are malformed, or those of two files overlap.
    RimMeasurements = 149, "measurements in the RIM file are malformed";
    /// Not an untagged COSE_Sign1 with ES384 in its one canonical form.
    NitroEnvelope = 150, "not a canonical COSE_Sign1 with ES384";
    /// The payload is not a well-formed attestation document.
    NitroDocument = 151, "the payload is not a well-formed attestation document";
    /// The leaf certificate did not sign this document.
    NitroSignature = 152, "the signature over the attestation document is wrong";
    /// A certificate in the document is malformed.
    NitroCertificate = 153, "a certificate in the attestation document is malformed";
    /// The document's user data is not the 64 bytes of report data.
    NitroReportData = 154, "the document's user data is not 64 bytes";
    /// A bundle is no canonical document of a CPU TEE and one to eight GPUs.
    BundleFormat = 160, "not a canonical bundle of a CPU TEE and its GPUs";
    /// More collateral than evidence that it could judge.
    CollateralExcess = 161, "more collateral than there is evidence";
    /// An event log is longer than its bound, or has too many events.
    EventLogTooLong = 170, "the event log is longer than its bound";
    /// An event log ends inside an event.
    EventLogTruncated = 171, "the event log ends inside an event";
    /// Not a crypto-agile event log: its first event names no digest algorithms.
    EventLogHeader = 172, "the event log has no crypto-agile header";
    /// An event does not carry exactly one digest of each algorithm, or not the one that is needed.
    EventLogDigests = 173, "an event does not carry the digests that its log declares";
    /// An event names a register that it cannot extend.
    EventLogRegister = 174, "an event names a register that it cannot extend";
    /// A JSON event log is not of the known form, or repeats a name.
    EventLogJson = 175, "the event log is not JSON of the known form";
    /// The name or payload of an event is not what its kind demands.
    EventLogEvent = 176, "an event's name or payload is malformed";
    /// The digest of an app-level event is not that of its name and payload.
    EventLogDigestMismatch = 177, "an event's digest is not that of its name and payload";
    /// Replaying the event log does not give the registers of the evidence.
    EventLogMismatch = 178, "the event log does not replay to the registers of the evidence";
    /// A container of evidence and event log is malformed.
    EventLogContainer = 179, "the container of evidence and event log is malformed";
    /// A container is longer than its bound, or holds too much.
    ContainerTooLong = 180, "the container is longer than its bound or holds too many parts";
    /// A container is of no known form.
    ContainerFormat = 181, "the container is of no known form";
    /// A container is not JSON of a known form, or repeats a name.
    ContainerJson = 182, "the container is not well-formed JSON, or repeats a name";
    /// Text in a container is neither hex, nor base64, nor PEM.
    ContainerText = 183, "text in the container is neither hex, nor base64, nor PEM";
    /// A container lacks a part that its form demands.
    ContainerPart = 184, "a part is missing in the container";
    /// Hardware's form of evidence where only the canonical form was asked for.
    ContainerNotCanonical = 185, "the evidence is not in its canonical form";
    /// Refused by the verifier for a reason without a code of its own.
    OtherInvalid = 199, "the evidence does not verify";
    /// The chain ends in no root of trust of this network.
    UnknownRoot = 201, "the certificate chain ends in no root of trust of this network";
    /// A certificate was not issued under the root it names.
    CertificateChain = 202, "a certificate was not issued under its root";
    /// A certificate is revoked.
    CertificateRevoked = 203, "a certificate is revoked";
    /// The platform's TCB is revoked: its keys count as compromised.
    TcbRevoked = 204, "the platform's TCB is revoked";
    /// Evidence and collateral are of different platform families.
    PlatformFamily = 205, "the collateral is for another platform family";
    /// The quoting enclave is not the one the collateral names.
    QuotingEnclave = 206, "the quoting enclave is not the one that the collateral names";
    /// The TDX module is not one the collateral names.
    TdxModule = 207, "the TDX module is not one that the collateral names";
    /// No TCB level of the collateral matches: the platform is older than all of them.
    TcbUnknown = 208, "the platform matches no TCB level";
    /// Collateral is for another kind of TEE.
    CollateralKind = 209, "the collateral is for another kind of TEE";
    /// A root of trust for development in a production network.
    EmulatedRoot = 210, "a production network lists a root of trust for development";
    /// A bundle mixes emulated and hardware evidence.
    BundleDomains = 211, "a bundle mixes emulated and hardware evidence";
    /// The VCEK certificate is of another chip.
    SnpChipMismatch = 220, "the VCEK certificate is of another chip";
    /// The VCEK or VLEK certificate is for another TCB than the report's.
    SnpTcbMismatch = 221, "the endorsement certificate is for another TCB";
    /// The report's CPU is not of the product that the certificate names.
    SnpProductMismatch = 222, "the report's CPU is of another product than its certificate";
    /// Certificate and report name different firmware.
    GpuFirmwareIdentity = 230, "the GPU's certificate and report name different firmware";
    /// Certificates and report disagree about the model, or it is unknown.
    GpuModel = 231, "the GPU's certificates and report do not name one known model";
    /// The GPU signed another nonce.
    GpuNonce = 232, "the GPU signed another nonce";
    /// One GPU stands twice in a bundle.
    GpuRepeated = 233, "one GPU stands twice in the bundle";
    /// The leaf certificate is of another enclave than the document.
    NitroModule = 240, "the leaf certificate is of another enclave";
    /// TCB info or QE identity has passed its next update.
    CollateralExpired = 301, "the collateral has expired";
    /// Collateral, or a revocation list in it, is dated in the future.
    CollateralNotYetValid = 302, "the collateral is dated in the future";
    /// A revocation list has passed its next update.
    RevocationListExpired = 303, "a revocation list has expired";
    /// A certificate has expired.
    CertificateExpired = 304, "a certificate has expired";
    /// A certificate is not yet valid.
    CertificateNotYetValid = 305, "a certificate is not yet valid";
    /// The document's timestamp lies outside its leaf certificate's validity, or in the future.
    NitroTimestamp = 306, "the document's timestamp is not within its certificate's validity";
    /// A part of the collateral is missing.
    CollateralMissing = 401, "a part of the collateral is missing";
    /// No revocation list answers for a certificate.
    RevocationUnknown = 402, "no revocation list answers for a certificate";
    /// The policy does not accept this trust domain.
    PolicyTrustDomain = 501, "the policy does not accept this trust domain";
    /// The TEE can be debugged or profiled from outside; never accepted.
    PolicyDebug = 502, "the TEE can be debugged from outside";
    /// TD attributes differ from the policy, or carry a bit that is never accepted.
    PolicyTdAttributes = 503, "the TD's attributes are not accepted";
    /// XFAM differs from the policy.
    PolicyXfam = 504, "the TD's extended features are not accepted";
    /// No accepted release has this measurement.
    PolicyMeasurement = 505, "no accepted release has this measurement";
    /// MRSEAM is not in the policy's list.
    PolicySeamModule = 506, "the TDX module is not in the policy's list";
    /// TCB status is not accepted, nor within grace.
    PolicyTcbStatus = 507, "the TCB status is not accepted";
    /// TCB evaluation data number is too small.
    PolicyEvaluationNumber = 508, "the TCB evaluation data number is below the policy's minimum";
    /// The platform carries a denied advisory.
    PolicyAdvisory = 509, "the platform carries an advisory that the policy denies";
    /// Platform family is not in the policy's list.
    PolicyFamilyNotAllowed = 510, "the platform family is not in the policy's list";
    /// Platform family is denied.
    PolicyFamilyDenied = 511, "the platform family is denied";
    /// Platform is denied.
    PolicyPlatformDenied = 512, "the platform is denied";
    /// Packages may be added to the platform, and the policy forbids that.
    PolicyDynamicPlatform = 513, "the policy forbids platforms to which packages may be added";
    /// The policy has no section for this kind of evidence.
    PolicyKind = 514, "the policy accepts no evidence of this kind";
    /// Platform is not in the policy's list.
    PolicyPlatformNotAllowed = 515, "the platform is not in the policy's list";
    /// A service TD is bound that the policy does not name.
    PolicyServiceTd = 516, "a service TD is bound that the policy does not name";
    /// MRSIGNERSEAM is not in the policy's list.
    PolicySeamSigner = 517, "the TDX module's signer is not in the policy's list";
    /// The platform's root keys are cached, and the policy forbids that.
    PolicyCachedKeys = 518, "the policy forbids platforms with cached keys";
    /// The platform runs several threads a core, and the policy forbids that.
    PolicySmt = 519, "the policy forbids multithreading";
    /// The PCK certificate's SGX type is not in the policy's list.
    PolicySgxType = 520, "the platform's SGX type is not in the policy's list";
    /// The platform carries an advisory that is not in the policy's list.
    PolicyAdvisoryNotAllowed = 521, "the platform carries an advisory that the policy does not list";
    /// MRCONFIGID differs from the policy.
    PolicyConfigId = 522, "MRCONFIGID differs from the policy";
    /// MROWNER differs from the policy.
    PolicyOwner = 523, "MROWNER differs from the policy";
    /// MROWNERCONFIG differs from the policy.
    PolicyOwnerConfig = 524, "MROWNERCONFIG differs from the policy";
    /// Version or body of the quote is not in the policy's list.
    PolicyQuoteForm = 525, "the quote's version or body is not in the policy's list";
    /// The evidence shows GPUs, and the policy accepts none.
    PolicyGpu = 526, "the policy accepts no GPUs";
    /// The product is not in the policy's list: a whole generation is refused.
    SnpPolicyProduct = 530, "the policy does not accept this generation of processors";
    /// The kind of signing key is not accepted.
    SnpPolicySigningKey = 531, "the policy does not accept this kind of endorsement key";
    /// The report's version is too small.
    SnpPolicyReportVersion = 532, "the report's version is below the policy's minimum";
    /// The privilege level that asked for the report is not accepted.
    SnpPolicyVmpl = 533, "the report comes from a lower privilege level than the policy accepts";
    /// The guest's own policy demands too old a firmware ABI.
    SnpPolicyGuestAbi = 534, "the guest accepts an older firmware ABI than the policy does";
    /// The guest's own policy differs from this policy.
    SnpPolicyGuestPolicy = 535, "the guest's policy is not accepted";
    /// The platform information differs from the policy.
    SnpPolicyPlatformInfo = 536, "the platform's configuration is not accepted";
    /// Reported, committed and current TCB are not in order.
    SnpPolicyTcbOrder = 537, "the platform reports a newer TCB than it has committed or runs";
    /// The reported TCB is below the minimum of its product.
    SnpPolicyTcb = 538, "the reported TCB is below the policy's minimum";
    /// The guest was launched under a TCB below the minimum.
    SnpPolicyLaunchTcb = 539, "the TCB at launch is below the policy's minimum";
    /// A mitigation that the policy demands was not verified.
    SnpPolicyMitigations = 540, "a mitigation that the policy demands is not verified";
    /// The guest's security version is too small.
    SnpPolicyGuestSvn = 541, "the guest's security version is below the policy's minimum";
    /// The ID block names an image or family that is not accepted.
    SnpPolicyImage = 542, "the family or image id is not in the policy's list";
    /// The ID block's key is not accepted.
    SnpPolicyIdKey = 543, "the ID key is not in the policy's list";
    /// The author's key is not accepted.
    SnpPolicyAuthorKey = 544, "the author key is not in the policy's list";
    /// GPU architecture is not accepted.
    PolicyGpuArchitecture = 550, "the policy does not accept this GPU architecture";
    /// GPU mode is not accepted.
    PolicyGpuMode = 551, "the policy does not accept this GPU mode";
    /// Driver version is not accepted.
    PolicyDriverVersion = 552, "the policy does not accept this driver version";
    /// VBIOS version is not accepted.
    PolicyVbiosVersion = 553, "the policy does not accept this VBIOS version";
    /// The policy has no reference values for this model and version, or they are malformed.
    PolicyGpuReference = 554, "the policy has no well-formed reference values for this model and version";
    /// A measurement differs from the reference values.
    PolicyGpuMeasurement = 555, "a measurement of the GPU differs from its reference values";
    /// A measurement that no reference names is not zero.
    PolicyGpuUnreferenced = 556, "a measurement of the GPU has no reference value";
    /// Fewer GPUs than the policy demands.
    PolicyGpuCount = 557, "fewer GPUs than the policy demands";
    /// No revocation list is as fresh as the policy demands.
    PolicyRevocationAge = 558, "no revocation list is as fresh as the policy demands";
    /// The document is older than the policy accepts.
    NitroPolicyAge = 565, "the attestation document is older than the policy accepts";
    /// Attributes of the enclave differ from the policy.
    PolicySgxAttributes = 576, "the enclave's attributes are not accepted";
    /// XFRM differs from the policy.
    PolicyXfrm = 577, "the enclave's extended features are not accepted";
    /// MISCSELECT has a bit that the policy does not accept.
    PolicyMiscSelect = 578, "the enclave's MISCSELECT is not accepted";
    /// CONFIGID differs from the policy.
    PolicyEnclaveConfig = 579, "the enclave's CONFIGID differs from the policy";
    /// CONFIGSVN is too small.
    PolicyConfigSvn = 580, "the enclave's CONFIGSVN is below the policy's minimum";
    /// ISVEXTPRODID differs from the policy.
    PolicyExtendedProduct = 581, "the enclave's ISVEXTPRODID differs from the policy";
    /// ISVFAMILYID differs from the policy.
    PolicyEnclaveFamily = 582, "the enclave's ISVFAMILYID differs from the policy";
    /// ISVSVN is too small for every release that names the enclave.
    PolicyIsvSvn = 583, "the enclave's ISVSVN is below the policy's minimum";
    /// The boot did not log an event that is demanded.
    PolicyEventMissing = 590, "the boot did not log an event that is demanded";
    /// The boot logged an event twice that counts once.
    PolicyEventRepeated = 591, "the boot logged an event twice that counts once";
    /// An event that is demanded was logged only after the boot.
    PolicyEventLate = 592, "an event that is demanded was logged only after the boot";
    /// An event of the boot does not have an accepted value.
    PolicyEventValue = 593, "an event of the boot does not have an accepted value";
}

impl Refusal {
    /// The stable code.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The class.
    pub const fn class(self) -> RefusalClass {
        match self.code() / 100 {
            1 => RefusalClass::Invalid,
            2 => RefusalClass::Untrusted,
            3 => RefusalClass::Expired,
            4 => RefusalClass::Unavailable,
            _ => RefusalClass::Policy,
        }
    }
}
