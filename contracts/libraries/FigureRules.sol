// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title FigureRules
/// @notice How far pay follows influence: by how well a model's influence was measured to be true, and by what a
/// contributor's data did before. Basis points.
/// @dev The same rules, with their reasons, are in attribution's `settle::Measured`, `settle::Conduct`,
/// `settle::credit_share` and `settle::factor`; test/vectors/figures.json holds both to the same numbers.
library FigureRules {
    uint256 internal constant FULL_BPS = 10_000;

    /// @notice Ceilings below this are read as this: a task on which two retrainings hardly agree would otherwise make
    /// any score look perfect.
    uint256 internal constant MIN_CEILING_BPS = 2500;

    /// @notice The lowest reputation. Below it, an account is abandoned for a new one.
    uint256 internal constant MIN_REPUTATION_BPS = 2500;

    /// @dev Files taken as accepted, and batches taken as not negative, before the first.
    uint256 private constant PRIOR_FILES = 20;
    uint256 private constant PRIOR_BATCHES = 4;

    /// @notice Share that influence is paid by: min(10_000, floor(lds^2 / max(ceiling, 2_500))).
    /// @dev lds / sqrt(ceiling) is the correlation of scores with true effects (Spearman 1904), and its square the part
    /// of the differences between contributors that scores explain.
    /// @param lds lower end of the 95% interval of the linear datamodelling score; more than 10_000 is read as that
    /// @param ceiling score of one retraining as a prediction of another; more than 10_000 is read as that
    function influenceBps(uint256 lds, uint256 ceiling) internal pure returns (uint16) {
        lds = _atMost(lds, FULL_BPS);
        ceiling = _atMost(ceiling, FULL_BPS);
        if (ceiling < MIN_CEILING_BPS) ceiling = MIN_CEILING_BPS;
        return uint16(_atMost(lds * lds / ceiling, FULL_BPS));
    }

    /// @notice max(2_500, floor(floor(10_000 (a + 20) / (a + r + 20)) (e + 4) / (e + h + 4)) >> p) for `a` accepted and
    /// `r` refused files, `e` earning and `h` harmful batches and `p` penalties.
    function reputationBps(uint32 accepted, uint32 refused, uint32 earning, uint32 harmful, uint32 penalties)
        internal
        pure
        returns (uint16)
    {
        uint256 files = uint256(accepted) + PRIOR_FILES;
        uint256 batches = uint256(earning) + PRIOR_BATCHES;
        uint256 bps = FULL_BPS * files / (files + refused);
        bps = (bps * batches / (batches + harmful)) >> penalties;
        return uint16(bps < MIN_REPUTATION_BPS ? MIN_REPUTATION_BPS : bps);
    }

    /// @notice Share of a positive net that credits pay: floor((influence (10_000 - uses) + 10_000 uses) / 10_000).
    /// @dev A net is of credits of all kinds, and how far influence is true says nothing of the others: they follow from
    /// the answer and the rows, and who recomputes a record sees it. So influence counts as far as the mix pays by it.
    /// @param influence bps that influence is paid by
    /// @param uses bps of the contributors' share that the mix gives for spans and citations; more than 10_000 is read
    /// as that
    function creditShareBps(uint16 influence, uint256 uses) internal pure returns (uint16) {
        uses = _atMost(uses, FULL_BPS);
        return uint16((uint256(influence) * (FULL_BPS - uses) + FULL_BPS * uses) / FULL_BPS);
    }

    /// @notice floor(share * reputation / 10_000): the factor on a contributor's positive net.
    function factorBps(uint16 share, uint16 reputation) internal pure returns (uint16) {
        return uint16(uint256(share) * reputation / FULL_BPS);
    }

    function _atMost(uint256 x, uint256 most) private pure returns (uint256) {
        return x < most ? x : most;
    }
}
