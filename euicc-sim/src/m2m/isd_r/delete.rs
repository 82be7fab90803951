//! ES5.DeleteProfile and ES5.MasterDelete: SGP.02 sections 4.1.1.4 and 4.1.1.6; DELETE,
//! GlobalPlatform section 11.2.

use crypto::{AesKey, is_equal};
use rsp::der::{DecodeError, Elements, Problem, Reader, Tag};
use rsp::ids::Aid;

use super::EMPTY_RESPONSE;
use crate::StatusWord;
use crate::m2m::context::M2mContext;
use crate::m2m::switch;
use crate::state::m2m::{Identity, IsdP, LifeCycle, MAX_USED_TOKENS};

pub(super) const DELETE: u8 = 0xE4;

/// P1 and P2, which are covered by a token.
const OBJECT_AND_RELATED: [u8; 2] = [0x00, 0x40];

/// Version and identifier of the token key.
const TOKEN_KEY: (u8, u8) = (0x70, 0x01);

/// The name of the command in findings.
const NAME: &str = "DELETE";

const ISD_P: Tag = Tag(0x4F);
const SIGNATURE_TEMPLATE: Tag = Tag(0xB6);
const TOKEN: Tag = Tag(0x9E);

/// DELETE of an ISD-P and its profile; a master delete if there is a token.
pub(super) fn delete(context: &mut M2mContext<'_>, data: &[u8]) -> Result<Vec<u8>, StatusWord> {
    // req: SGP.02-4.1.1.4-Data
    let request = DeleteRequest::read(data).map_err(|_| StatusWord::INCORRECT_DATA)?;
    let state = context.life_cycle(&request.isd_p).ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)?;
    let is_fallback = context.state.fallback.as_ref() == Some(&request.isd_p);
    // A profile that may be needed for a roll-back or is about to be enabled is kept.
    // req: SGP.02-4.1.1.4-State
    if state == LifeCycle::Enabled || is_fallback || switch::is_under_way(context) {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    match &request.token {
        // req: SGP.02-4.1.1.4-Pol1, SGP.02-4.1.1.6-Pol1
        None if context.persistent.pol1(&request.isd_p).delete_not_allowed => {
            return Err(StatusWord::POL1_PREVENTS);
        }
        None => {}
        // A master delete applies to a disabled profile, regardless of its policy rules.
        // req: SGP.02-4.1.1.6-State
        Some(_) if state != LifeCycle::Disabled => return Err(StatusWord::CONDITIONS_NOT_SATISFIED),
        Some(token) => {
            let isd_p = context.state.isd_p(&request.isd_p).ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)?;
            token.check(context, isd_p)?;
            let used = &mut context.state.to_mut().used_tokens;
            used.push(token.value.into());
            let surplus = used.len().saturating_sub(MAX_USED_TOKENS);
            used.drain(..surplus);
        }
    }
    context.remove_isd_p(&request.isd_p);
    Ok(EMPTY_RESPONSE.to_vec())
}

/// A parsed DELETE command.
struct DeleteRequest<'a> {
    isd_p: Aid,
    token: Option<Token<'a>>,
}

/// A delete token: SGP.02 section 4.1.1.6, GlobalPlatform section C.4.7.
struct Token<'a> {
    /// The owner identified in the token.
    owner: Identity,
    /// The data covered by the token.
    covered: &'a [u8],
    value: &'a [u8],
}

impl<'a> DeleteRequest<'a> {
    fn read(data: &'a [u8]) -> Result<Self, DecodeError> {
        let known = [ISD_P, SIGNATURE_TEMPLATE, TOKEN];
        let mut reader = Reader::new(data);
        reader.skip_up_to(NAME, &known)?;
        let bad = reader.error(Problem::BadValue("an AID has 5 to 16 octets"));
        let isd_p = Aid(reader.contents(ISD_P)?.to_vec());
        if !(5..=16).contains(&isd_p.0.len()) {
            return Err(bad);
        }
        reader.skip_up_to(NAME, &known)?;
        if reader.is_empty() {
            return Ok(Self { isd_p, token: None });
        }
        let owner = owner(reader.enter(SIGNATURE_TEMPLATE)?)?;
        reader.skip_up_to(NAME, &known)?;
        let covered = data.get(..reader.offset()).unwrap_or_default();
        let bad = reader.error(Problem::BadValue("a token has 16 octets"));
        let value = reader.contents(TOKEN)?;
        reader.skip_up_to(NAME, &known)?;
        reader.finish()?;
        if value.len() != 16 {
            return Err(bad);
        }
        Ok(Self { isd_p, token: Some(Token { owner, covered, value }) })
    }
}

/// The owner in a digital signature template. The template must also have a token number.
fn owner(template: Reader<'_>) -> Result<Identity, DecodeError> {
    let mut elements = Elements::of("signature template", template)?;
    let number = elements.require(Tag(0x93))?;
    if number.is_empty() {
        return Err(number.error(Problem::BadValue("a token number has at least one octet")));
    }
    let identity = Identity {
        sin: elements.contents(Tag(0x42))?.into(),
        sdin: elements.contents(Tag(0x45))?.into(),
        provider: elements.contents(Tag(0x5F20))?.into(),
    };
    elements.finish();
    Ok(identity)
}

impl Token<'_> {
    fn check(&self, context: &M2mContext<'_>, isd_p: &IsdP) -> Result<(), StatusWord> {
        let (version, id) = TOKEN_KEY;
        let key = isd_p.key_set(version).and_then(|set| set.aes(id));
        let key = key.ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)?;
        let length = u8::try_from(self.covered.len()).map_err(|_| StatusWord::INCORRECT_DATA)?;
        let expected = AesKey::new(*key.expose()).cmac(&[&OBJECT_AND_RELATED, &[length], self.covered]);
        // req: SGP.02-4.1.1.6-Once
        let is_used = context.state.used_tokens.iter().any(|used| **used == *self.value);
        // req: SGP.02-4.1.1.6-Token
        if !is_equal(&expected, self.value) || self.owner != isd_p.identity || is_used {
            return Err(StatusWord::SECURITY_STATUS_NOT_SATISFIED);
        }
        Ok(())
    }
}
