// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPayoutVerifier} from "../interfaces/IPayoutVerifier.sol";
import {G1Point, G2Point, Kzg, Opening} from "../libraries/Kzg.sol";
import {Transcript} from "../libraries/Transcript.sol";
import {BatchId, ChannelId} from "../types/Ids.sol";

/// @notice Verifier of the payout argument. Letters and section numbers are those of prover/SPEC.md.
contract PayoutVerifier is IPayoutVerifier {
    using Transcript for bytes32;

    /// @dev gamma, beta, delta of the sums; alpha of the identities; zeta where they are checked; nu of the openings;
    /// chi where those are checked.
    struct Challenges {
        uint256 gamma;
        uint256 beta;
        uint256 delta;
        uint256 alpha;
        uint256 zeta;
        uint256 nu;
        uint256 chi;
    }

    /// @dev The openings while polynomials are taken one by one, in the order of their weights.
    /// @param inverses of the denominators
    /// @param quotients t_H(zeta) and t_E(zeta), which are not sent
    /// @param sum commitments so far, and scratch space of `_mulAdd`
    /// @param value of the polynomials so far
    /// @param weight power of nu of the next polynomial
    struct Openings {
        Challenges c;
        uint256[] inverses;
        uint256[2] quotients;
        uint256[5] sum;
        uint256 value;
        uint256 weight;
    }

    uint256 private constant R = Kzg.SCALAR_MODULUS;
    uint256 private constant BIAS = 1 << 63;
    uint256 private constant MIN_ROWS = 8;
    uint256 private constant MAX_ROWS = 65_536;
    uint256 private constant CELLS_PER_ROW = 8;
    bytes32 private constant DOMAIN = keccak256("OpenLedger payout argument v1");

    /// @dev Leading byte of the key of a channel's account.
    uint256 private constant DRAW_KIND = 1 << 240;

    /// @dev Places among the evaluations: four cells, three accumulators at two points, the identity column, limbs;
    /// then multiplicities and, for each page, payouts and its accumulator at two points.
    uint256 private constant ACCUMULATORS_AT = 4;
    uint256 private constant IDENTITY_AT = 10;
    uint256 private constant LIMBS_AT = 11;
    uint256 private constant PAGE_EVALUATIONS = 3;

    /// @dev Words before the pages' in the round of the accumulators: three points and a sum. A page has a point and a
    /// sum.
    uint256 private constant ACCUMULATOR_WORDS = 7;
    uint256 private constant PAGE_ACCUMULATOR_WORDS = 3;

    /// @dev Places in the list of inverses; the draws' denominators come after them.
    uint256 private constant ROWS_VANISHING = 0; // zeta^n - 1
    uint256 private constant PAGE_VANISHING = 1; // zeta^M - 1
    uint256 private constant SHIFT = 2; // zeta^(M - 1)
    uint256 private constant ROWS = 3; // n
    uint256 private constant PAGE_SIZE = 4; // M
    uint256 private constant CELLS_WEIGHTS = 5; // (chi - x) prod (x - x') of the four points of the cells
    uint256 private constant ROWS_WEIGHTS = 9; // of zeta and g zeta
    uint256 private constant PAGE_WEIGHTS = 11; // of zeta and v zeta
    uint256 private constant AT_ZETA = 13; // chi - zeta
    uint256 private constant AT_INVERSE = 14; // zeta chi - 1 = zeta (chi - 1/zeta)
    uint256 private constant CELLS_SET = 15; // Z(chi) of the cells' points
    uint256 private constant ROWS_SET = 16;
    uint256 private constant PAGE_SET = 17;
    uint256 private constant DRAWS = 18;

    /// @inheritdoc IPayoutVerifier
    uint32 public immutable pageSize;

    /// @inheritdoc IPayoutVerifier
    uint256 public immutable limbs;

    /// @dev v
    uint256 private immutable _pageRoot;

    bytes32 private immutable _keyHash;
    uint256 private immutable _identityX;
    uint256 private immutable _identityY;
    uint256 private immutable _tauG2X1;
    uint256 private immutable _tauG2X0;
    uint256 private immutable _tauG2Y1;
    uint256 private immutable _tauG2Y0;

    constructor(uint32 pageSize_, G1Point memory identity_, G2Point memory tauG2_) {
        require(
            pageSize_ >= 1 << 4 && pageSize_ <= 1 << 16 && pageSize_ & (pageSize_ - 1) == 0,
            UnsupportedPageSize(pageSize_)
        );
        require(Kzg.isValid(tauG2_) && Kzg.isValid(identity_) && (identity_.x != 0 || identity_.y != 0), InvalidKey());

        uint256 bits;
        while (1 << (bits + 1) <= uint256(pageSize_)) ++bits;

        pageSize = pageSize_;
        limbs = (64 + bits - 1) / bits;
        _pageRoot = Kzg.rootOfUnity(pageSize_);
        _keyHash = keccak256(abi.encode(tauG2_, uint256(pageSize_), identity_));
        (_identityX, _identityY) = (identity_.x, identity_.y);
        (_tauG2X1, _tauG2X0, _tauG2Y1, _tauG2Y0) = (tauG2_.x1, tauG2_.x0, tauG2_.y1, tauG2_.y0);
    }

    /// @inheritdoc IPayoutVerifier
    function tauG2() public view returns (G2Point memory) {
        return G2Point(_tauG2X1, _tauG2X0, _tauG2Y1, _tauG2Y0);
    }

    /// @inheritdoc IPayoutVerifier
    function identity() external view returns (G1Point memory) {
        return G1Point(_identityX, _identityY);
    }

    /// @inheritdoc IPayoutVerifier
    function verify(Statement calldata statement, uint256[] calldata proof) external view returns (bool) {
        if (!_isStatement(statement) || !_isProof(proof, statement.pages.length)) return false;

        Challenges memory c = _challenges(statement, proof);
        uint256[] memory inverses = _denominators(statement, c);
        if (!_invert(inverses)) return false;

        Openings memory o;
        (o.c, o.inverses, o.weight) = (c, inverses, 1);
        o.quotients = [_rowQuotient(statement, proof, c, inverses), _pageQuotient(statement.pages, proof, c, inverses)];
        return _opens(statement, proof, o);
    }

    function _isStatement(Statement calldata statement) private view returns (bool) {
        uint256 rows = statement.rows;
        if (rows < MIN_ROWS || rows > MAX_ROWS || rows & (rows - 1) != 0) return false;

        uint256 pages = statement.pages.length;
        if (pages == 0 || pages != statement.payouts.length) return false;
        uint256 lastPage = type(uint32).max / pageSize;
        for (uint256 j; j < pages; ++j) {
            if (j > 0 && statement.pages[j] <= statement.pages[j - 1]) return false;
            if (statement.pages[j] > lastPage || !Kzg.isValid(statement.payouts[j])) return false;
        }

        // The sum of fewer than 2^192 amounts of 64 bits does not overflow.
        uint256 drawn;
        for (uint256 i; i < statement.draws.length; ++i) {
            drawn += statement.draws[i].amount;
        }
        if (drawn != statement.total) return false;

        for (uint256 i; i < statement.witnesses.length; ++i) {
            if (!Kzg.isValid(statement.witnesses[i])) return false;
        }
        return Kzg.isValid(statement.ledger);
    }

    /// @dev Points must be valid, because precompiles burn all gas that they get when one is not, and scalars reduced,
    /// or a proof would have several forms.
    function _isProof(uint256[] calldata proof, uint256 pages) private view returns (bool) {
        uint256 columns = _columnWords(pages);
        uint256 quotients = columns + ACCUMULATOR_WORDS + PAGE_ACCUMULATOR_WORDS * pages;
        uint256 openings = quotients + 4 + LIMBS_AT + limbs + 1 + PAGE_EVALUATIONS * pages;
        if (proof.length != openings + 4) return false;

        for (uint256 i; i < columns + ACCUMULATOR_WORDS - 1; i += 2) {
            if (!_isPoint(proof, i)) return false;
        }
        if (proof[columns + ACCUMULATOR_WORDS - 1] >= R) return false;
        for (uint256 i = columns + ACCUMULATOR_WORDS; i < quotients; i += PAGE_ACCUMULATOR_WORDS) {
            if (!_isPoint(proof, i) || proof[i + 2] >= R) return false;
        }
        for (uint256 i = quotients + 4; i < openings; ++i) {
            if (proof[i] >= R) return false;
        }
        return _isPoint(proof, quotients) && _isPoint(proof, quotients + 2) && _isPoint(proof, openings)
            && _isPoint(proof, openings + 2);
    }

    function _isPoint(uint256[] calldata proof, uint256 at) private pure returns (bool) {
        return Kzg.isValid(G1Point(proof[at], proof[at + 1]));
    }

    /// @dev Words of limbs, multiplicities and reversed payouts, with which a proof begins.
    function _columnWords(uint256 pages) private view returns (uint256) {
        return 2 * (limbs + 1 + pages);
    }

    function _evaluations(uint256[] calldata proof, uint256 pages) private view returns (uint256[] calldata) {
        return proof[_columnWords(pages) + ACCUMULATOR_WORDS + PAGE_ACCUMULATOR_WORDS * pages + 4:];
    }

    /// @dev Section 6.
    function _challenges(Statement calldata statement, uint256[] calldata proof)
        private
        view
        returns (Challenges memory c)
    {
        uint256 pages = statement.pages.length;
        uint256 at = _columnWords(pages);
        bytes32 state = bytes32(0).absorb(_statementWords(statement)).absorbFrom(proof[:at]).squeeze();
        c.gamma = state.challenge();
        state = state.squeeze();
        c.beta = state.challenge();
        state = state.squeeze();
        c.delta = state.challenge();

        uint256 end = at + ACCUMULATOR_WORDS + PAGE_ACCUMULATOR_WORDS * pages;
        state = state.absorbFrom(proof[at:end]).squeeze();
        c.alpha = state.challenge();

        state = state.absorbFrom(proof[end:end + 4]).squeeze();
        c.zeta = state.challenge();

        at = end + 4;
        end = proof.length - 4;
        state = state.absorbFrom(proof[at:end]).squeeze();
        c.nu = state.challenge();

        c.chi = state.absorbFrom(proof[end:end + 2]).squeeze().challenge();
    }

    function _statementWords(Statement calldata statement) private view returns (uint256[] memory words) {
        (uint256 draws, uint256 witnesses, uint256 pages) =
            (statement.draws.length, statement.witnesses.length, statement.pages.length);
        words = new uint256[](14 + 2 * draws + 2 * witnesses + 3 * pages);
        (words[0], words[1]) = (uint256(DOMAIN), uint256(_keyHash));
        words[2] = block.chainid;
        words[3] = uint160(statement.settlement);
        words[4] = uint256(BatchId.unwrap(statement.batch));
        words[5] = uint160(statement.operator);
        words[6] = uint256(statement.certificateHash);
        words[7] = statement.rows;
        words[8] = pages;
        words[9] = statement.total;
        (words[10], words[11]) = (draws, witnesses);

        uint256 at = 12;
        for (uint256 i; i < draws; ++i) {
            words[at++] = uint256(ChannelId.unwrap(statement.draws[i].channel));
            words[at++] = statement.draws[i].amount;
        }
        (words[at], words[at + 1]) = (statement.ledger.x, statement.ledger.y);
        at += 2;
        for (uint256 i; i < witnesses; ++i) {
            words[at++] = statement.witnesses[i].x;
            words[at++] = statement.witnesses[i].y;
        }
        for (uint256 j; j < pages; ++j) {
            words[at++] = statement.pages[j];
            words[at++] = statement.payouts[j].x;
            words[at++] = statement.payouts[j].y;
        }
    }

    /// @dev Everything that is divided by.
    function _denominators(Statement calldata statement, Challenges memory c)
        private
        view
        returns (uint256[] memory d)
    {
        (uint256 rows, uint256 zeta, uint256 chi) = (statement.rows, c.zeta, c.chi);
        d = new uint256[](DRAWS + statement.draws.length);
        d[ROWS_VANISHING] = addmod(_power(zeta, rows), R - 1, R);
        d[PAGE_VANISHING] = addmod(_power(zeta, pageSize), R - 1, R);
        d[SHIFT] = Kzg.pow(zeta, pageSize - 1);
        (d[ROWS], d[PAGE_SIZE]) = (rows, pageSize);
        d[AT_ZETA] = addmod(chi, R - zeta, R);
        d[AT_INVERSE] = addmod(mulmod(zeta, chi, R), R - 1, R);

        uint256 root = Kzg.rootOfUnity(CELLS_PER_ROW * rows);
        uint256[] memory points = new uint256[](4);
        points[0] = zeta;
        for (uint256 i = 1; i < 4; ++i) {
            points[i] = mulmod(points[i - 1], root, R);
        }
        d[CELLS_SET] = _weights(d, CELLS_WEIGHTS, points, chi);

        points = new uint256[](2);
        (points[0], points[1]) = (zeta, mulmod(zeta, _power(root, CELLS_PER_ROW), R));
        d[ROWS_SET] = _weights(d, ROWS_WEIGHTS, points, chi);
        points[1] = mulmod(zeta, _pageRoot, R);
        d[PAGE_SET] = _weights(d, PAGE_WEIGHTS, points, chi);

        for (uint256 i; i < statement.draws.length; ++i) {
            // Channel ids keep their leading 240 bits in the key.
            uint256 key = DRAW_KIND + (uint256(ChannelId.unwrap(statement.draws[i].channel)) >> 16);
            d[DRAWS + i] = addmod(c.gamma, R - key, R);
        }
    }

    /// @dev Puts (chi - x) prod (x - x') of each point into the list; returns the product of all chi - x.
    function _weights(uint256[] memory d, uint256 at, uint256[] memory points, uint256 chi)
        private
        pure
        returns (uint256 vanishing)
    {
        vanishing = 1;
        for (uint256 i; i < points.length; ++i) {
            uint256 weight = addmod(chi, R - points[i], R);
            vanishing = mulmod(vanishing, weight, R);
            for (uint256 k; k < points.length; ++k) {
                if (k != i) weight = mulmod(weight, addmod(points[i], R - points[k], R), R);
            }
            d[at + i] = weight;
        }
    }

    /// @dev t_H(zeta) = (B1 + alpha B2 + alpha^2 B3 + alpha^3 B4) / (zeta^n - 1)
    function _rowQuotient(
        Statement calldata statement,
        uint256[] calldata proof,
        Challenges memory c,
        uint256[] memory inverses
    ) private view returns (uint256 sum) {
        uint256[3] memory steps = _rowSteps(statement, proof, c, inverses);
        uint256[] calldata e = _evaluations(proof, statement.pages.length);

        // B3 + alpha B4, B2, B1, what is before multiplied by alpha once more each time.
        sum = _limbIdentities(e, _step(e, ACCUMULATORS_AT + 4, steps[2]), c.alpha, _ofPage(c.gamma, statement.pages[0]));

        uint256 term = mulmod(_step(e, ACCUMULATORS_AT + 2, steps[1]), addmod(c.gamma, R - e[0], R), R);
        sum = addmod(mulmod(sum, c.alpha, R), addmod(term, R - e[1], R), R);

        term = mulmod(_step(e, ACCUMULATORS_AT, steps[0]), addmod(c.gamma, R - e[2], R), R);
        term = addmod(term, R - addmod(e[3], R - BIAS, R), R);
        sum = addmod(mulmod(sum, c.alpha, R), term, R);

        sum = mulmod(sum, inverses[ROWS_VANISHING], R);
    }

    /// @dev D/n, T/n and S/n, with T = sum_j S_j - beta F + delta S
    function _rowSteps(
        Statement calldata statement,
        uint256[] calldata proof,
        Challenges memory c,
        uint256[] memory inverses
    ) private view returns (uint256[3] memory sums) {
        for (uint256 i; i < statement.draws.length; ++i) {
            sums[0] = addmod(sums[0], mulmod(statement.draws[i].amount, inverses[DRAWS + i], R), R);
        }

        // S, then a point and S_j for each page.
        uint256[] calldata claimed = proof[_columnWords(statement.pages.length) + ACCUMULATOR_WORDS - 1:];
        sums[1] = addmod(mulmod(c.delta, claimed[0], R), R - mulmod(c.beta, statement.total, R), R);
        for (uint256 j = 1; j <= statement.pages.length; ++j) {
            sums[1] = addmod(sums[1], claimed[PAGE_ACCUMULATOR_WORDS * j], R);
        }
        sums[2] = claimed[0];

        for (uint256 i; i < 3; ++i) {
            sums[i] = mulmod(sums[i], inverses[ROWS], R);
        }
    }

    /// @dev B3 + alpha B4
    /// @param gamma gamma_0
    function _limbIdentities(uint256[] calldata e, uint256 step, uint256 alpha, uint256 gamma)
        private
        view
        returns (uint256)
    {
        (uint256 product, uint256 others, uint256 composed) = _limbProducts(e[LIMBS_AT:LIMBS_AT + limbs], gamma);
        uint256 lookup = addmod(mulmod(step, product, R), R - others, R);
        return addmod(lookup, mulmod(alpha, addmod(e[1], R - composed, R), R), R);
    }

    /// @dev What an accumulator adds between the two points of its evaluations, and what it must add besides.
    function _step(uint256[] calldata e, uint256 at, uint256 besides) private pure returns (uint256) {
        return addmod(addmod(e[at + 1], R - e[at], R), besides, R);
    }

    /// @dev gamma_j
    function _ofPage(uint256 gamma, uint256 page) private view returns (uint256) {
        // Below 2^32, which `_isStatement` checked, so below R.
        return addmod(gamma, R - page * pageSize, R);
    }

    /// @dev Q, the sum of Q / (gamma_0 - l) over the limbs, and what the limbs compose.
    function _limbProducts(uint256[] calldata limbsAt, uint256 gamma)
        private
        view
        returns (uint256 product, uint256 others, uint256 composed)
    {
        product = 1;
        for (uint256 i = limbsAt.length; i > 0; --i) {
            uint256 factor = addmod(gamma, R - limbsAt[i - 1], R);
            others = addmod(mulmod(others, factor, R), product, R);
            product = mulmod(product, factor, R);
            composed = addmod(mulmod(composed, pageSize, R), limbsAt[i - 1], R);
        }
    }

    /// @dev t_E(zeta) = sum_j alpha^j C_j / (zeta^M - 1)
    function _pageQuotient(
        uint32[] calldata pages,
        uint256[] calldata proof,
        Challenges memory c,
        uint256[] memory inverses
    ) private view returns (uint256) {
        uint256[] memory steps = _pageSteps(proof, pages.length, inverses[PAGE_SIZE]);
        uint256 sum = _pageIdentities(pages, _evaluations(proof, pages.length)[IDENTITY_AT:], steps, c);
        return mulmod(sum, inverses[PAGE_VANISHING], R);
    }

    /// @dev sum_j alpha^j C_j
    /// @param e identity column, limbs, multiplicities, then of each page payouts and its accumulator at two points
    function _pageIdentities(uint32[] calldata pages, uint256[] calldata e, uint256[] memory steps, Challenges memory c)
        private
        view
        returns (uint256 sum)
    {
        uint256 at = limbs + 1;
        for (uint256 j = pages.length; j > 0; --j) {
            uint256 fromIdentity = addmod(_ofPage(c.gamma, pages[j - 1]), R - e[0], R);
            sum = mulmod(sum, c.alpha, R);
            sum = addmod(sum, _pageIdentity(e[at + 3 * j - 2:], steps[j - 1], c.beta, fromIdentity), R);
        }
        // The first page's identity, which has alpha^0, holds the multiplicities.
        sum = addmod(sum, mulmod(c.delta, e[at], R), R);
    }

    /// @dev S_j / M of each page
    function _pageSteps(uint256[] calldata proof, uint256 pages, uint256 inverse)
        private
        view
        returns (uint256[] memory steps)
    {
        steps = new uint256[](pages);
        uint256 at = _columnWords(pages) + ACCUMULATOR_WORDS + 2;
        for (uint256 j; j < pages; ++j) {
            steps[j] = mulmod(proof[at + PAGE_ACCUMULATOR_WORDS * j], inverse, R);
        }
    }

    /// @dev C_j without multiplicities.
    /// @param e payout, accumulator at zeta and v zeta
    function _pageIdentity(uint256[] calldata e, uint256 step, uint256 beta, uint256 fromIdentity)
        private
        pure
        returns (uint256)
    {
        uint256 paid = mulmod(e[0], addmod(1, mulmod(beta, fromIdentity, R), R), R);
        return addmod(mulmod(_step(e, 1, step), fromIdentity, R), R - paid, R);
    }

    /// @dev The verification equation of section 7.
    function _opens(Statement calldata statement, uint256[] calldata proof, Openings memory o)
        private
        view
        returns (bool)
    {
        uint256 pages = statement.pages.length;
        uint256 accumulators = _columnWords(pages);
        uint256 quotients = accumulators + ACCUMULATOR_WORDS + PAGE_ACCUMULATOR_WORDS * pages;
        uint256[] calldata e = _evaluations(proof, pages);

        _openRows(o, statement.ledger, proof[accumulators:], e);
        _openQuotients(o, proof[quotients:], e[IDENTITY_AT]);
        _openColumns(o, proof, e[LIMBS_AT:]);
        for (uint256 j; j < pages; ++j) {
            uint256 at = LIMBS_AT + limbs + 1 + PAGE_EVALUATIONS * j;
            _takeAtZeta(o, statement.payouts[j].x, statement.payouts[j].y, e[at]);
            _openAccumulator(o, proof[accumulators + ACCUMULATOR_WORDS + PAGE_ACCUMULATOR_WORDS * j:], e[at + 1:]);
            _openReversed(o, proof[2 * (limbs + 1 + j):], e[at]);
        }

        // e(sum - W - value G1 + chi W', G2) = e(W', tau G2): W' opens what is left at chi.
        uint256[] calldata witnesses = proof[proof.length - 4:];
        _mulAdd(o.sum, witnesses[0], witnesses[1], R - 1);
        return
            Kzg.opens(
                Opening(G1Point(o.sum[0], o.sum[1]), o.c.chi, o.value, G1Point(witnesses[2], witnesses[3])), tauG2()
            );
    }

    /// @dev The ledger at four points and the rows' accumulators at two.
    function _openRows(
        Openings memory o,
        G1Point calldata ledger,
        uint256[] calldata accumulators,
        uint256[] calldata e
    ) private view {
        uint256 opened;
        for (uint256 i; i < 4; ++i) {
            opened = addmod(opened, mulmod(e[i], o.inverses[CELLS_WEIGHTS + i], R), R);
        }
        _take(o, ledger.x, ledger.y, o.inverses[CELLS_SET], opened);

        for (uint256 i; i < 3; ++i) {
            uint256 at = ACCUMULATORS_AT + 2 * i;
            opened = mulmod(e[at], o.inverses[ROWS_WEIGHTS], R);
            opened = addmod(opened, mulmod(e[at + 1], o.inverses[ROWS_WEIGHTS + 1], R), R);
            _take(o, accumulators[2 * i], accumulators[2 * i + 1], o.inverses[ROWS_SET], opened);
        }
    }

    function _openQuotients(Openings memory o, uint256[] calldata quotients, uint256 identityAt) private view {
        _takeAtZeta(o, quotients[0], quotients[1], o.quotients[0]);
        _takeAtZeta(o, quotients[2], quotients[3], o.quotients[1]);
        _takeAtZeta(o, _identityX, _identityY, identityAt);
    }

    /// @param columns limbs, multiplicities
    function _openColumns(Openings memory o, uint256[] calldata columns, uint256[] calldata e) private view {
        for (uint256 i; i <= limbs; ++i) {
            _takeAtZeta(o, columns[2 * i], columns[2 * i + 1], e[i]);
        }
    }

    function _openAccumulator(Openings memory o, uint256[] calldata accumulator, uint256[] calldata e) private view {
        uint256 opened = mulmod(e[0], o.inverses[PAGE_WEIGHTS], R);
        opened = addmod(opened, mulmod(e[1], o.inverses[PAGE_WEIGHTS + 1], R), R);
        _take(o, accumulator[0], accumulator[1], o.inverses[PAGE_SET], opened);
    }

    /// @dev R(1/zeta) = zeta^(-(M-1)) P(zeta), which bounds the degree of P.
    function _openReversed(Openings memory o, uint256[] calldata reversed, uint256 payoutAt) private view {
        uint256 factor = mulmod(o.c.zeta, o.inverses[AT_INVERSE], R);
        uint256 value = mulmod(o.inverses[SHIFT], payoutAt, R);
        _take(o, reversed[0], reversed[1], factor, mulmod(factor, value, R));
    }

    function _takeAtZeta(Openings memory o, uint256 x, uint256 y, uint256 value) private view {
        uint256 factor = o.inverses[AT_ZETA];
        _take(o, x, y, factor, mulmod(factor, value, R));
    }

    /// @dev Takes the next polynomial.
    /// @param factor 1 / Z(chi) of its points
    /// @param opened r(chi) / Z(chi)
    function _take(Openings memory o, uint256 x, uint256 y, uint256 factor, uint256 opened) private view {
        _mulAdd(o.sum, x, y, mulmod(o.weight, factor, R));
        o.value = addmod(o.value, mulmod(o.weight, opened, R), R);
        o.weight = mulmod(o.weight, o.c.nu, R);
    }

    /// @dev Adds scalar * (x, y) to the point in the first two words. The other three are scratch space: memory would
    /// otherwise grow by some words for each of the many points. The point is valid, so precompiles fail for lack of
    /// gas only.
    function _mulAdd(uint256[5] memory sum, uint256 x, uint256 y, uint256 scalar) private view {
        bool ok;
        assembly ("memory-safe") {
            let term := add(sum, 0x40)
            mstore(term, x)
            mstore(add(term, 0x20), y)
            mstore(add(term, 0x40), scalar)
            ok := staticcall(gas(), 7, term, 0x60, term, 0x40)
            ok := and(ok, staticcall(gas(), 6, sum, 0x80, sum, 0x40))
        }
        require(ok, Kzg.PrecompileFailed(address(7)));
    }

    /// @dev Replaces every element by its inverse, with one inversion for all (Montgomery). False if one is zero.
    function _invert(uint256[] memory values) private view returns (bool) {
        uint256[] memory before = new uint256[](values.length);
        uint256 product = 1;
        for (uint256 i; i < values.length; ++i) {
            before[i] = product;
            product = mulmod(product, values[i], R);
        }
        if (product == 0) return false;

        uint256 inverse = Kzg.pow(product, R - 2);
        for (uint256 i = values.length; i > 0; --i) {
            uint256 value = values[i - 1];
            values[i - 1] = mulmod(inverse, before[i - 1], R);
            inverse = mulmod(inverse, value, R);
        }
        return true;
    }

    /// @dev base to a power of two
    function _power(uint256 base, uint256 exponent) private pure returns (uint256) {
        for (; exponent > 1; exponent >>= 1) {
            base = mulmod(base, base, R);
        }
        return base;
    }
}
