//! A market with an offer, and words for what people do there.
#![allow(clippy::too_many_arguments, reason = "generated from Solidity by alloy")]
#![allow(missing_docs, unreachable_pub, reason = "generated from Solidity by alloy")]

use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256};
use alloy_sol_types::{SolCall, SolConstructor, SolError, sol};
use freehold_crypto::AccountKey;
use freehold_ledger::{ExecutedBlock, MARKET, Status};
use freehold_primitives::Digest;

use crate::{
    common::{Chain, Fields, address, key},
    registry::{Draft, IApps, PROVIDER, Registry},
};

sol!("../../contracts/interfaces/IMarket.sol");
sol! {
    contract OddToken {
        function set(uint8 newMode, address newTarget, bytes newData) external;
        function mint(address to, uint256 amount) external;
        function approve(address spender, uint256 amount) external returns (bool);
        function balanceOf(address account) external view returns (uint256);
        function calledBack() external view returns (bool);
    }
    contract OddAccount {
        function set(address newTarget, bytes newData, bool newRefuses) external;
        function run(address to, bytes input) external payable;
        function paid() external view returns (uint256);
        function calledBack() external view returns (bool);
    }
}

/// Who rents.
pub(crate) const RENTER: u8 = 4;
/// Who has nothing to do with it.
pub(crate) const STRANGER: u8 = 5;
/// Price of a second in tests, odd so that a wrong division would show.
pub(crate) const PRICE: u128 = 1_000_003;
/// What is at stake for a rental in tests: no multiple of eight.
pub(crate) const BOND: u128 = 1_000_001;

pub(crate) const NATIVE: Address = Address::ZERO;

/// A change of an offer's terms.
pub(crate) type Change = fn(&mut IMarket::Terms);

/// Answer of a call that reverted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reverted(pub(crate) Bytes);

/// Asserts that a call reverted with this error of a contract.
pub(crate) fn refused<T>(result: Result<T, Reverted>, error: impl SolError) {
    let Err(Reverted(output)) = result else { panic!("it is not refused") };
    assert_eq!(output, Bytes::from(error.abi_encode()), "refused with another error");
}

/// Init code of a contract, from its committed artefact.
pub(crate) fn artefact(name: &str) -> Vec<u8> {
    let path = format!("{}/../../contracts/artifacts/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let artefact: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    hex::decode(artefact["bytecode"].as_str().unwrap().trim_start_matches("0x")).unwrap()
}

pub(crate) fn terms() -> IMarket::Terms {
    IMarket::Terms {
        token: NATIVE,
        pricePerSecond: PRICE,
        bond: BOND,
        secondsMin: 10,
        secondsMax: 100_000,
        capacity: 4,
        evidenceKind: 1,
        trustDomain: 1,
        tier: 1,
        gpus: 0,
        exclusive: false,
        platform: B256::ZERO,
        cpus: 2,
        memoryMib: 4096,
        details: "https://provider.example/terms".to_owned(),
    }
}

/// A chain with an app, and its market.
pub(crate) struct Market {
    pub(crate) registry: Registry,
}

impl Market {
    /// The provider has a bond for ten rentals.
    pub(crate) fn new() -> Self {
        let mut market = Self { registry: Registry::new() };
        market.pay(PROVIDER, MARKET, IMarket::addBondCall {}, 10 * BOND).unwrap();
        market
    }

    /// With one offer, and a rental of it by `RENTER` for so many seconds.
    pub(crate) fn rented(terms: IMarket::Terms, seconds: u32) -> (Self, u64) {
        let mut market = Self::new();
        let offer = market.offer(terms).unwrap();
        let rental = market.rent(offer, seconds).unwrap();
        (market, rental)
    }

    pub(crate) fn chain(&mut self) -> &mut Chain {
        &mut self.registry.chain
    }

    /// Sends a call in a block of its own.
    pub(crate) fn pay(
        &mut self,
        from: u8,
        to: Address,
        call: impl SolCall,
        value: u128,
    ) -> Result<ExecutedBlock, Reverted> {
        self.raw(&key(from), Some(to), call.abi_encode(), value)
    }

    /// Calls the market.
    pub(crate) fn send(&mut self, from: u8, call: impl SolCall) -> Result<ExecutedBlock, Reverted> {
        self.pay(from, MARKET, call, 0)
    }

    fn raw(
        &mut self,
        from: &AccountKey,
        to: Option<Address>,
        data: Vec<u8>,
        value: u128,
    ) -> Result<ExecutedBlock, Reverted> {
        let chain = &mut self.registry.chain;
        let nonce = chain.nonce(from);
        let fields = Fields { to, value, data: data.into(), nonce, gas: 16_000_000, ..Fields::default() };
        let block = chain.block(vec![chain.sign_with(from, fields)]);
        assert_eq!(block.skipped, vec![], "the transaction stands in the block");
        let receipt = &block.receipts[0];
        if receipt.envelope.status() { Ok(block) } else { Err(Reverted(receipt.output.clone())) }
    }

    pub(crate) fn deploy(&mut self, init: Vec<u8>) -> Address {
        let block = self.raw(&key(9), None, init, 0).unwrap();
        block.receipts[0].contract_address.unwrap()
    }

    pub(crate) fn deploy_with<C: SolConstructor>(&mut self, name: &str, arguments: &C) -> Address {
        self.deploy([artefact(name), arguments.abi_encode()].concat())
    }

    pub(crate) fn view<C: SolCall>(&self, to: Address, call: C) -> C::Return {
        let outcome = self.registry.view(to, call);
        assert_eq!(outcome.status, Status::Success, "{}", C::SIGNATURE);
        C::abi_decode_returns(&outcome.output).unwrap()
    }

    pub(crate) fn offer(&mut self, terms: IMarket::Terms) -> Result<u64, Reverted> {
        self.send(PROVIDER, IMarket::offerCall { terms })?;
        Ok(self.view(MARKET, IMarket::offerCountCall {}))
    }

    pub(crate) fn rent(&mut self, offer: u64, seconds: u32) -> Result<u64, Reverted> {
        let native = self.view(MARKET, IMarket::offerOfCall { id: offer }).terms.token == NATIVE;
        let value = if native { u128::from(seconds) * PRICE } else { 0 };
        self.pay(RENTER, MARKET, self.rent_call(offer, seconds), value)?;
        Ok(self.view(MARKET, IMarket::rentalCountCall {}))
    }

    pub(crate) fn rent_call(&self, offer: u64, seconds: u32) -> IMarket::rentCall {
        IMarket::rentCall { offerId: offer, app: self.app(), measurement: B256::ZERO, secondsAhead: seconds }
    }

    pub(crate) fn app(&self) -> FixedBytes<21> {
        self.registry.app.as_bytes().into()
    }

    /// Registers an instance of the app by the provider; its account has this seed.
    pub(crate) fn register(&mut self, seed: u8) -> Draft {
        let draft = self.registry.draft(seed);
        self.registry.register(&draft).unwrap();
        draft
    }

    pub(crate) fn renew(&mut self, draft: &Draft) {
        let renewal = self.registry.renewal(draft);
        self.registry.register(&renewal).unwrap();
    }

    pub(crate) fn attach(&mut self, rental: u64, draft: &Draft) -> Result<ExecutedBlock, Reverted> {
        self.send(PROVIDER, IMarket::attachCall { id: rental, instance: id_of(draft) })
    }

    /// Registers and attaches.
    pub(crate) fn serve(&mut self, rental: u64, seed: u8) -> Draft {
        let draft = self.register(seed);
        self.attach(rental, &draft).unwrap();
        draft
    }

    pub(crate) fn settle(&mut self, rental: u64) -> Result<ExecutedBlock, Reverted> {
        self.send(STRANGER, IMarket::settleCall { id: rental })
    }

    pub(crate) fn rental(&self, id: u64) -> IMarket::Rental {
        self.view(MARKET, IMarket::rentalOfCall { id })
    }

    pub(crate) fn credit(&self, seed: u8, token: Address) -> U256 {
        self.view(MARKET, IMarket::creditOfCall { account: address(&key(seed)), token })
    }

    pub(crate) fn bond(&self) -> (u128, u128) {
        let bond = self.view(MARKET, IMarket::bondOfCall { provider: address(&key(PROVIDER)) });
        (bond.bond.to(), bond.locked.to())
    }

    pub(crate) fn reputation(&self) -> IMarket::Reputation {
        self.view(MARKET, IMarket::reputationOfCall { provider: address(&key(PROVIDER)) })
    }

    pub(crate) fn standing(&self, draft: &Draft) -> IApps::Standing {
        let apps = freehold_ledger::to_address(&freehold_crypto::slots::APPS);
        self.view(apps, IApps::standingCall { id: id_of(draft) })
    }

    /// Time of the newest block.
    pub(crate) fn now(&self) -> u64 {
        self.registry.chain.tip().timestamp
    }

    /// Lets so many seconds pass, and a block stand at their end.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.registry.chain.time_ms += (seconds - 1) * 1000;
        self.registry.chain.block(Vec::new());
    }

    /// RLP of a header.
    pub(crate) fn header(&self, height: u64) -> Bytes {
        alloy_rlp::encode(&self.registry.chain.headers[&height]).into()
    }

    /// Everything of the native coin that the market has.
    pub(crate) fn holds(&self) -> U256 {
        self.registry.chain.balance(&MARKET)
    }
}

pub(crate) fn id_of(draft: &Draft) -> B256 {
    let Digest(id) = draft.instance_id();
    id.into()
}

pub(crate) fn coins(amount: u128) -> U256 {
    U256::from(amount)
}
