//! Why a module refuses: stable codes, carried by `Refused(uint16 code, uint16 detail)` (`spec/apps.md` §5).
//!
//! Codes never change their meaning. Codes of the registration's check list ascend in the order of the checks.

use alloy_sol_types::SolError as _;
use freehold_attestation::Refusal;
use freehold_evm::ModuleFailure;
use thiserror::Error;

use super::abi::IApps;

macro_rules! refusals {
    ($($(#[$meta:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why a module refuses.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum ModuleRefusal {
            $($(#[$meta])* #[error($text)] $name = $code,)*
        }

        impl ModuleRefusal {
            /// Every refusal, by code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

refusals! {
    /// No function of the module, or arguments that are not strictly encoded.
    Call = 1, "no function of the module, or malformed arguments";
    /// Value where none belongs.
    Value = 2, "the function takes no value";
    /// No such entry.
    Unknown = 3, "there is no such entry";

    /// The app does not exist.
    AppUnknown = 20, "the app does not exist";
    /// The app is closed.
    AppClosed = 21, "the app is closed";
    /// The caller does not own the app.
    NotOwner = 22, "only the owner of the app may do this";
    /// The policy is no canonical document, or breaks a bound.
    Policy = 23, "the policy is malformed or breaks a bound";
    /// No such scheme, or scheme 1 from a contract.
    Scheme = 24, "the scheme is unknown or not open to this caller";
    /// An app with this id exists.
    AppExists = 25, "an app with this id exists";
    /// The subject's kind or length is wrong.
    Subject = 26, "the subject's kind or length is wrong";
    /// The subject is denied already.
    AlreadyDenied = 27, "the subject is denied already";
    /// The instance does not exist, or belongs to another app.
    InstanceUnknown = 28, "the instance does not exist in this app";
    /// The instance is closed.
    InstanceClosed = 29, "the instance is closed";
    /// The caller is neither the instance nor its provider.
    NotInstance = 30, "the caller is neither the instance nor its provider";
    /// The new owner is the zero address.
    OwnerZero = 31, "an app needs an owner";
    /// The caller does not govern the chain.
    NotGovernor = 32, "only the governor of the chain may do this";
    /// The entry of the subject is full.
    DenialsFull = 33, "the subject was denied as often as its entry can hold";
    /// The chain does not deny this subject.
    NotDenied = 34, "the chain does not deny this subject";
    /// The new governor is the zero address.
    GovernorZero = 35, "the chain needs a governor";
    /// A tier's number or name is out of bounds.
    Tier = 36, "the tier's number or name is out of bounds";
    /// The version is not above the one in force.
    ProtocolOld = 37, "the version of the protocol is not above the one in force";
    /// The height is too near.
    ProtocolNotice = 38, "a version of the protocol needs longer notice";
    /// The release has no usable name.
    ProtocolRelease = 39, "a version of the protocol needs the name of a release that knows it";
    /// The name of a lease is out of bounds.
    LeaseName = 41, "a lease's name has 1 to 64 characters of A-Z a-z 0-9 . _ -";
    /// The length of a lease is out of bounds.
    LeaseLength = 42, "a lease lasts 10 to 3600 seconds";
    /// Another instance holds the lease.
    LeaseHeld = 43, "another instance holds the lease";
    /// The caller does not hold the lease under this fence.
    LeaseFence = 44, "the caller does not hold the lease under this fence";
    /// The settings are no canonical document, or break a bound.
    Settings = 45, "the settings are malformed, name what is reserved, or break a bound";
    /// The settings do not follow the newest ones.
    SettingsGeneration = 46, "the settings do not follow the newest ones: read those, and set again";
    /// The app's rule demands notice or co-signers.
    UpgradeNotice = 47, "the app promises notice or co-signers: announce the policy (`freehold app upgrade`)";
    /// The rule is out of bounds, or cannot be satisfied.
    UpgradeRule = 48, "a notice is at most a year; co-signers are at most 16, in rising order, and no more are needed than named";
    /// The rule protects less than the one in force.
    UpgradeWeaker = 49, "the rule protects less than the one in force: announce it";
    /// The change is no canonical document, changes nothing, or breaks a bound.
    UpgradeChange = 50, "the change is malformed, changes nothing, or breaks a bound";
    /// Nothing of this digest is announced.
    UpgradeNone = 51, "no such change is announced";
    /// The notice is not over.
    UpgradeEarly = 52, "the notice of the announced change is not over";
    /// Co-signers are missing.
    UpgradeApprovals = 53, "not enough co-signers approved the announced change";
    /// The announcement had its time.
    UpgradeLapsed = 54, "the announced change was not put in force in time: announce it again";
    /// The caller is no co-signer.
    NotCosigner = 55, "only a co-signer of the app may do this";
    /// The approval stands, or does not, already.
    UpgradeSaid = 56, "the co-signer said so already";
    /// No such version, or its policy is in force.
    RollbackVersion = 57, "the app has no such version, or its policy is the one in force";
    /// The version's policy was replaced too long ago.
    RollbackOld = 58, "the version was not in force within the last notice, or was not public for one: announce its policy";
    /// No verdict, or the place of the report is out of bounds.
    Audit = 59, "an audit says 1 sound or 2 flawed, and names its report's place in at most 256 printable characters";
    /// The metadata are no canonical document, or break a bound.
    Metadata = 60, "the metadata are malformed, or break a bound";

    /// Check 1: a part of the call is too long.
    RegistrationTooLong = 101, "registration, evidence or signature is too long";
    /// Check 1: the registration is no canonical document.
    RegistrationMalformed = 102, "the registration is malformed";
    /// Check 2: for another chain.
    Chain = 103, "the registration is for another chain";
    /// Check 2: for another genesis.
    Genesis = 104, "the registration is for another genesis";
    /// Check 3: the app does not exist.
    RegistrationAppUnknown = 105, "the app does not exist";
    /// Check 3: the app is closed.
    RegistrationAppClosed = 106, "the app is closed";
    /// Check 4: the caller is not the provider that the subject names.
    Provider = 107, "the caller is not the provider that the subject names";
    /// Check 5: not signed by the instance's account.
    Signature = 108, "the registration is not signed by the instance's account";
    /// Check 5: the account belongs to another live instance.
    AccountLive = 109, "the account belongs to another live instance";
    /// Check 5: a renewal of an instance that is closed, or whose lease has ended.
    RenewalLate = 110, "the instance is closed or its lease has ended";
    /// Check 5: a renewal with another keyset.
    RenewalKeyset = 111, "a renewal keeps the keyset";
    /// Check 6: the nonce is no block hash of this chain.
    NonceUnknown = 112, "the nonce is not the hash of that block";
    /// Check 6: the block is too old.
    NonceOld = 113, "the nonce's block is too old";
    /// Check 7: the keyset is not one of this subject, or cannot be written in canonical form.
    Keyset = 114, "the keyset is malformed or names another subject";
    /// Check 7: the evidence cannot be read; detail says why.
    EvidenceMalformed = 115, "the evidence is malformed";
    /// Check 7: `report_data` binds something else.
    ReportData = 116, "report_data does not bind this keyset and nonce";
    /// Check 8: there is no collateral for this platform family.
    CollateralMissing = 117, "there is no collateral for this platform family";
    /// Check 8: the evidence does not verify; detail says why.
    Evidence = 118, "the evidence does not verify";
    /// Check 8: the evidence is of another trust domain or family than the registration says.
    Domain = 119, "the evidence is of another trust domain or family than stated";
    /// Check 9: the app's policy does not accept the evidence; detail says why.
    EvidencePolicy = 120, "the app's policy does not accept the evidence";
    /// Check 10: the owner of the app has denied the platform, family, measurement or instance.
    DeniedSubject = 121, "the app denies this platform, family, measurement or instance";
    /// Check 11: the keyset ends before the lease.
    KeysetExpiry = 122, "the keyset ends before the lease";
    /// Check 12: the evidence was used before.
    EvidenceUsed = 123, "the evidence was used before";
    /// Check 13: the lease would end at once.
    LeaseEmpty = 124, "the lease would end at once";
    /// Check 14: the app has as many live instances as it may have.
    InstancesFull = 125, "the app has as many instances as it may have";
    /// Check 15: the chain denies what the instance stands on, or stood on before this renewal.
    DeniedByChain = 126, "the chain denies what the instance stands on";
    /// Check 16: the platform has as many live instances of the app as its policy allows.
    PlatformFull = 127, "the platform has as many instances of the app as its policy allows";

    /// The caller is no live instance.
    NotLive = 140, "the caller is not the account of a live instance";
    /// The app's policy does not list the context.
    Context = 141, "the app's policy does not list this context";

    /// Only the first account of a development genesis may rotate.
    RotationCaller = 142, "only the first account of a development network may rotate the state key";
    /// A rotation is asked for, or values under an older generation are left.
    RotationRuns = 143, "a rotation is asked for already, or values under the generation before are left";
    /// The generation before the newest one is served still.
    ContextRotationRuns = 144, "the generation before the newest one is served still: retire it first, or wait";

    /// The log does not grow.
    LogSize = 160, "a log only grows";
    /// The log belongs to a live instance, or to another app.
    LogForeign = 161, "the log belongs to a live instance or to another app";
    /// The batch does not follow the newest one.
    CountersSequence = 162, "the batch does not follow the newest one under this lease";
    /// A batch raises no counter, or too many stand under the lease.
    CountersBounds = 163, "a batch raises 1 to 64 counters, and at most 64 stand under a lease";
    /// The name of a counter is out of bounds.
    CounterName = 164, "a counter's name has 1 to 64 characters of A-Z a-z 0-9 . _ -";
    /// A counter would not rise.
    CounterFalls = 165, "a counter only rises";

    /// The kind of collateral is unknown.
    CollateralKind = 180, "the kind of collateral is unknown";
    /// The key is not that of the document.
    CollateralKey = 181, "the key is not that of the document";
    /// The document does not verify; detail says why.
    CollateralRefused = 182, "the collateral does not verify";
    /// The document is no newer than what stands.
    CollateralOld = 183, "the collateral is no newer than what stands";
    /// The caller does not govern the chain.
    /// The version is not above the one in force.
    VerifierOld = 185, "the version of the verifier is not above the one in force";
    /// The height is too near.
    VerifierNotice = 186, "a version of the verifier needs longer notice";
    /// This program does not know the version in force.
    VerifierUnknown = 187, "this program does not know the version of the verifier in force: upgrade it";

    /// The caller is no contract whose constructor runs.
    VisibilityEnded = 200, "a contract chooses its visibility in its constructor only";
    /// The constructor has written storage.
    VisibilityWritten = 201, "a contract chooses its visibility before it writes storage";

    /// No such validator.
    ValidatorUnknown = 220, "there is no such validator";
    /// The caller is neither the validator's account nor its operator.
    ValidatorCaller = 221, "the caller is neither the validator's account nor its operator";
    /// The identity is that of a validator that has not left.
    ValidatorExists = 222, "the identity is that of a validator which has not left";
    /// The identity's signature over chain, genesis and caller is wrong.
    Possession = 223, "the identity's signature in the caller's name is wrong";
    /// No IP address and port.
    PeerAddress = 224, "the address is no IP address and port in their usual form";
    /// The bond is below the least.
    Bond = 225, "the bond is below the least that the genesis asks for";
    /// As many candidates wait as may.
    CandidatesFull = 226, "as many candidates wait as may";
    /// The jail is not over.
    JailRuns = 227, "the terms in jail are not over";
    /// The validator is not in jail.
    NotJailed = 228, "the validator is not in jail";
    /// The validator has left, or leaves.
    ValidatorLeft = 229, "the validator has left, or leaves already";
    /// The bond is locked.
    BondLocked = 230, "the bond is locked until the validator has left and its terms are over";
    /// There is no bond.
    BondEmpty = 231, "there is no bond to withdraw";
    /// The vendor would hold a threshold.
    Diversity = 232, "the vendor would hold a threshold of the seats";
    /// Validators of this chain run in no instances.
    ValidatorsOpen = 233, "validators of this chain need no instance: its genesis names no app for them";
    /// The payee is the zero address.
    PayeeZero = 234, "a validator needs a payee";
    /// The module does not hold what it is to pay.
    Unpaid = 235, "the module does not hold what it is to pay";
    /// The head of a payload is malformed.
    HeadMalformed = 240, "the head of the payload is malformed";
    /// The head is of another chain.
    HeadForeign = 241, "the head is of another chain, or names a block as executed that is not one of this chain";
    /// The head is too old, or of a height to come.
    HeadOld = 242, "the head is too old for a report";
    /// Not two heads of one proposer in one view.
    NoDouble = 243, "these are not two heads of one proposer in one view";
    /// Not signed by the proposer.
    HeadSignature = 244, "the head is not signed by its proposer";
    /// Punished already.
    SlashedAlready = 245, "proposals of this term were punished already";
    /// Another network key is asked for, made, or waits.
    SuccessionRuns = 246, "another network key is asked for already";
    /// The chain has no terms in which a key could be made.
    TermsNone = 247, "a chain of one term without end keeps its keys";
    /// Another master is asked for, or being made, or the one before the newest serves still.
    MasterRuns = 248, "another master is asked for already, or the one before the newest serves still";
    /// The master before would serve for too short a time.
    MasterKeep = 249, "the master before serves on for 30 days at least";
    /// No generation of the master is left.
    MastersSpent = 250, "there is no further generation of the master";
    /// The report of a share is malformed.
    ShareMalformed = 251, "the report of a share is malformed";
    /// The chain does not know whose share it is, or of what.
    ShareUnknown = 252, "the chain has no such term, member, master, grant or instance";
    /// The share is not signed by its validator.
    ShareSignature = 253, "the share is not signed by its validator";
    /// The share is right.
    ShareRight = 254, "the share is right";
}

impl ModuleRefusal {
    /// The stable code.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The refusal with this code.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|refusal| refusal.code() == code)
    }

    /// Reads the revert data of a module: the refusal and the refusal of the evidence behind it.
    pub fn from_revert(output: &[u8]) -> Option<(Self, Option<Refusal>)> {
        let error = IApps::Refused::abi_decode_validate(output).ok()?;
        Some((Self::from_code(error.code)?, Refusal::from_code(error.detail)))
    }

    /// This refusal, because of that one.
    pub(super) fn because(self, refusal: Refusal) -> ModuleFailure {
        self.revert(refusal.code())
    }

    fn revert(self, detail: u16) -> ModuleFailure {
        ModuleFailure::Revert(IApps::Refused { code: self.code(), detail }.abi_encode().into())
    }
}

impl From<ModuleRefusal> for ModuleFailure {
    fn from(refusal: ModuleRefusal) -> Self {
        refusal.revert(0)
    }
}
