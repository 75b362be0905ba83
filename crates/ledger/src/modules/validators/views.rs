//! Reading validators and terms.

use alloy_primitives::Bytes;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::entries::EntryKind;

use super::{
    super::{
        abi::IValidators::{
            self, IValidatorsCalls, committeeCall, masterCall, mastersCall, playersCall, rosterCall, successionCall,
            turnOfCall, validatorCall,
        },
        entries::load_bytes,
        refusal::ModuleRefusal,
        returned,
    },
    standing::bonded,
};

/// The answer to a call that changes nothing; `None` where it is another call.
pub(super) fn answer(ctx: &mut ModuleContext<'_>, calls: &IValidatorsCalls) -> Result<Option<Bytes>, ModuleFailure> {
    let answer = match calls {
        IValidatorsCalls::validator(args) => {
            returned::<validatorCall>(&entry(ctx, EntryKind::Validator, args.identity.as_slice())?)
        }
        IValidatorsCalls::committee(args) => {
            returned::<committeeCall>(&entry(ctx, EntryKind::Committee, &slots::term_id(args.term))?)
        }
        IValidatorsCalls::players(args) => {
            returned::<playersCall>(&entry(ctx, EntryKind::Players, &slots::term_id(args.term))?)
        }
        IValidatorsCalls::roster(_) => returned::<rosterCall>(&entry(ctx, EntryKind::Roster, &slots::ROSTER_ID)?),
        IValidatorsCalls::turnOf(args) => {
            returned::<turnOfCall>(&entry(ctx, EntryKind::Turn, &slots::term_id(args.term))?)
        }
        IValidatorsCalls::succession(args) => {
            returned::<successionCall>(&entry(ctx, EntryKind::Succession, &slots::term_id(args.term))?)
        }
        IValidatorsCalls::masters(args) => {
            returned::<mastersCall>(&entry(ctx, EntryKind::Masters, &slots::term_id(args.term))?)
        }
        IValidatorsCalls::master(args) => {
            returned::<masterCall>(&entry(ctx, EntryKind::Master, &slots::master_id(args.generation))?)
        }
        IValidatorsCalls::bonded(_) => returned::<IValidators::bondedCall>(&bonded(ctx)?),
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

fn entry(ctx: &mut ModuleContext<'_>, kind: EntryKind, id: &[u8]) -> Result<Bytes, ModuleFailure> {
    let bytes = load_bytes(ctx, kind, id)?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}
