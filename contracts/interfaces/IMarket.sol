// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// The market for machines that run attested apps: a contract of the genesis at
/// 0x0000000000000000000000000000000000F4Ee10 (spec/market.md). Amounts are in base units of their token; the zero address
/// as token is the native coin. Times are unix seconds of the block.
interface IMarket {
    /// What a provider offers. It never changes: another price is another offer.
    struct Terms {
        /// ERC-20 that is paid in; zero is the native coin.
        address token;
        /// Price of a second of a live instance.
        uint128 pricePerSecond;
        /// Native coin out of the provider's bond that is at stake for each rental.
        uint128 bond;
        /// Shortest rental, in seconds, at least 1.
        uint32 secondsMin;
        /// Longest time from now on that may be paid ahead, in seconds.
        uint32 secondsMax;
        /// Most rentals at once.
        uint16 capacity;
        /// Kind of evidence that its instances show: 1 TDX, 2 SGX, 3 SEV-SNP, 4 Nitro, 6 a CPU TEE with GPUs.
        uint8 evidenceKind;
        /// Who vouches for it: 1 emulated (protects nothing), 2 Intel, 3 AMD, 4 AWS, 5 NVIDIA.
        uint8 trustDomain;
        /// Least tier that the evidence satisfies (spec/policy.md §6).
        uint8 tier;
        /// Least number of GPUs that the evidence shows.
        uint8 gpus;
        /// Whether nobody else's app runs on the same machine meanwhile.
        bool exclusive;
        /// The machine, as entries name it; 0 for any of the provider's.
        bytes32 platform;
        /// CPUs, as the provider says. Attested where the renter names a measurement, which covers the machine's shape.
        uint16 cpus;
        /// Memory in MiB, as the provider says; as for cpus.
        uint32 memoryMib;
        /// Where terms of business and contact stand; at most 256 bytes.
        string details;
    }

    /// An offer as it stands.
    struct Offer {
        /// Who made it; zero where there is none.
        address provider;
        /// Whether it can be rented.
        bool open;
        /// Rentals at this time.
        uint16 rented;
        /// What is offered.
        Terms terms;
    }

    /// A rental as it stands.
    struct Rental {
        /// The offer's number.
        uint64 offer;
        /// Who pays and gets the rest back; zero where there is none.
        address renter;
        /// App whose instances count.
        bytes21 app;
        /// Measurement that they must show when they are attached; 0 for any that the app's policy admits.
        bytes32 measurement;
        /// Paid from here on.
        uint64 startsAt;
        /// Paid until here.
        uint64 endsAt;
        /// Seconds that were served and paid so far.
        uint64 secondsPaid;
        /// The instance that serves now; 0 for none.
        bytes32 instance;
        /// Until here the attached instance is settled.
        uint64 settledAt;
        /// Since when it was seen not to be what is offered; 0 while it is.
        uint64 unfitSince;
        /// How many attachments it had.
        uint32 attachments;
        /// When it was ended; 0 while it runs.
        uint64 endedAt;
        /// Whether the bond at stake for it is still locked.
        bool bonded;
    }

    /// A time in which an instance served a rental.
    struct Attachment {
        /// The instance.
        bytes32 instance;
        /// Trust domain and platform of it, hashed together.
        bytes32 machine;
        /// Height from which it served.
        uint64 fromHeight;
        /// Height at which it was found to have ended; 0 while it serves.
        uint64 toHeight;
    }

    /// What the chain itself has seen of a provider.
    struct Reputation {
        /// Rentals that began.
        uint64 rentals;
        /// Seconds of live instances that were paid.
        uint64 secondsServed;
        /// Seconds of ended rentals in which nothing served.
        uint64 secondsMissed;
        /// Rentals that renters ended before their time.
        uint64 cancels;
        /// Rentals that the provider ended before their time.
        uint64 releases;
        /// Faults that were proven.
        uint64 slashes;
    }

    /// How a rental ended.
    enum End {
        Expired,
        Cancelled,
        Released,
        Slashed
    }

    /// What was proven of a provider.
    enum Fault {
        DoubleLease,
        FalseCapability
    }

    /// An offer was made.
    event Offered(uint64 indexed offer, address indexed provider);
    /// An offer cannot be rented any more; what is rented goes on.
    event OfferClosed(uint64 indexed offer);
    /// A rental began, paid until a time.
    event Rented(uint64 indexed rental, uint64 indexed offer, address indexed renter, bytes21 app, uint64 endsAt);
    /// A rental is paid for longer.
    event ToppedUp(uint64 indexed rental, uint64 endsAt);
    /// An instance serves a rental from now on.
    event Attached(uint64 indexed rental, bytes32 indexed instance, uint32 attachment);
    /// It no longer does.
    event Detached(uint64 indexed rental, bytes32 indexed instance);
    /// Seconds were paid.
    event Settled(uint64 indexed rental, uint64 secondsServed, uint256 amount);
    /// The attached instance is not what the offer says; not paid from here on.
    event Unfit(uint64 indexed rental, bytes32 indexed instance, uint64 since);
    /// A rental ended; so much goes back to the renter.
    event Ended(uint64 indexed rental, End end, uint256 refund);
    /// A provider's fault was proven; so much of its bond is gone.
    event Slashed(uint64 indexed rental, address indexed provider, Fault fault, address reporter, uint256 amount);
    /// A provider's bond grew or shrank.
    event BondChanged(address indexed provider, uint256 bond, uint256 locked);
    /// Somebody took what was theirs.
    event Withdrawn(address indexed account, address indexed token, uint256 amount, address to);

    /// A member of the terms is out of bounds: its number in their order, from 0.
    error BadTerms(uint8 member);
    /// There is no such offer, or it is closed.
    error OfferNotOpen(uint64 offer);
    /// As much is rented as the offer's capacity allows.
    error OfferFull(uint64 offer);
    /// The provider's free bond is less than what is at stake for a rental.
    error BondTooSmall(uint256 free, uint256 needed);
    /// Shorter or longer than the terms allow.
    error BadLength(uint256 secondsAhead);
    /// There is no such rental, or it ended.
    error RentalNotOpen(uint64 rental);
    /// Somebody else's: the renter's, or the provider's.
    error NotYours();
    /// The rental is still within its paid time.
    error NotOverYet(uint64 endsAt);
    /// The rental's paid time is over.
    error Over(uint64 endsAt);
    /// The native value is not what is to be paid.
    error WrongValue(uint256 sent, uint256 needed);
    /// The token did not bring exactly this amount, said no, or has no code.
    error TokenRefused(address token, uint256 amount);
    /// The instance is not live, of another app, or of another provider.
    error NotServing(bytes32 instance);
    /// The instance is live and not what is offered or demanded: 0 kind, 1 trust domain, 2 tier, 3 GPUs, 4 platform,
    /// 5 measurement.
    error NotAsOffered(bytes32 instance, uint8 fact);
    /// The instance serves another rental, or this one has an instance.
    error AlreadyServing(uint64 rental);
    /// The machine is taken by an exclusive rental, or an exclusive one wants it and it is shared.
    error MachineTaken(bytes32 machine);
    /// The attached instance was closed at this height: first show that block's header to settleClosed.
    error ShowHeader(uint64 closedAt);
    /// The instance was not closed, or the block of its closing cannot be shown any more.
    error NothingToShow();
    /// What was reported does not show the fault.
    error NoFault();
    /// The bond is not locked, or not yet free.
    error StillLocked(uint64 until);
    /// There is nothing to take.
    error NothingToTake();
    /// The receiver refused.
    error NotSent(address to);
    /// A call from within a call.
    error Reentered();

    /// Adds to the caller's bond.
    function addBond() external payable;
    /// Moves free bond to what the caller can withdraw.
    function takeBond(uint256 amount) external;
    /// Makes an offer.
    function offer(Terms calldata terms) external returns (uint64 id);
    /// Ends an offer; what is rented goes on. Its provider only.
    function closeOffer(uint64 id) external;

    /// Rents: pays the price of so many seconds from now on into escrow. measurement 0 accepts whatever the app's policy
    /// admits.
    function rent(uint64 offerId, bytes21 app, bytes32 measurement, uint32 secondsAhead)
        external
        payable
        returns (uint64 id);
    /// Pays for more seconds. The renter only, before the end, and only while the offer is open.
    function topUp(uint64 id, uint32 secondsMore) external payable;
    /// Ends a rental: what was served is the provider's, all the rest goes back. The renter only.
    function cancel(uint64 id) external;
    /// The same by the provider, who cannot or will not serve.
    function release(uint64 id) external;
    /// The same by anyone, once the paid time is over.
    function finish(uint64 id) external;

    /// Says which instance serves a rental from now on. The provider only.
    function attach(uint64 id, bytes32 instance) external;
    /// Takes the instance away again. The provider only.
    function detach(uint64 id) external;
    /// Pays for what was served since the last time. Anyone may call it.
    function settle(uint64 id) external;
    /// The same where the instance was closed since: header is the RLP of the header of the block that closed it. Anyone.
    function settleClosed(uint64 id, bytes calldata header) external;

    /// Proves that on the machine of an exclusive rental the provider registered another app's instance meanwhile.
    function reportDoubleLease(uint64 id, uint32 attachment, bytes32 other) external;
    /// Proves that a provider keeps an instance attached that has not been what it offered for CURE_S.
    function reportFalseCapability(uint64 id) external;
    /// Frees the bond of an ended rental after FAULT_WINDOW_S; at once where nothing ever served. Anyone.
    function freeBond(uint64 id) external;
    /// Takes what is the caller's. Nothing is ever sent to anybody unasked.
    function withdraw(address token, address to) external;

    /// Seconds that a provider has to replace or detach an instance that is no longer what was offered.
    function CURE_S() external view returns (uint64);
    /// Seconds after its end in which a fault of a rental can be proven.
    function FAULT_WINDOW_S() external view returns (uint64);
    /// How many offers were ever made; they are numbered from 1.
    function offerCount() external view returns (uint64);
    /// How many rentals ever began; they are numbered from 1.
    function rentalCount() external view returns (uint64);
    /// An offer.
    function offerOf(uint64 id) external view returns (Offer memory);
    /// A rental.
    function rentalOf(uint64 id) external view returns (Rental memory);
    /// An attachment of a rental, numbered from 0.
    function attachmentOf(uint64 id, uint32 number) external view returns (Attachment memory);
    /// What the chain has seen of a provider.
    function reputationOf(address provider) external view returns (Reputation memory);
    /// A provider's bond, and how much of it is at stake.
    function bondOf(address provider) external view returns (uint256 bond, uint256 locked);
    /// What an account can withdraw of a token.
    function creditOf(address account, address token) external view returns (uint256);
    /// The rental that an instance serves; 0 for none.
    function servedBy(bytes32 instance) external view returns (uint64 rental);
}
