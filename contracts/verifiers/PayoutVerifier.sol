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

    /// @dev Constants of one page's identities.
    /// @param gamma gamma_j
    /// @param weight c_j = delta^(j + 1)
    /// @param step S_j / M
    /// @param fromIdentity gamma_j - I(zeta)
    struct PageSteps {
        uint256 alpha;
        uint256 beta;
        uint256 gamma;
        uint256 weight;
        uint256 step;
        uint256 fromIdentity;
    }

    uint256 private constant R = Kzg.SCALAR_MODULUS;
    uint256 private constant BIAS = 1 << 63;
    uint256 private constant MIN_ROWS = 8;
    uint256 private constant MAX_ROWS = 65_536;
    uint256 private constant CELLS_PER_ROW = 8;
    bytes32 private constant DOMAIN = keccak256("OpenLedger payout argument v1");

    /// @dev Leading byte of the key of a channel's account.
    uint256 private constant DRAW_KIND = 1 << 240;

    /// @dev Evaluations that do not belong to a page: four cells, two accumulators at two points, the identity column.
    uint256 private constant FIXED_EVALUATIONS = 9;

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
        uint256 evaluations = columns + 8 + 3 * pages;
        uint256 openings = evaluations + FIXED_EVALUATIONS + pages * (limbs + 4);
        if (proof.length != openings + 4) return false;

        for (uint256 i; i < columns + 4; i += 2) {
            if (!_isPoint(proof, i)) return false;
        }
        for (uint256 i = columns + 4; i < evaluations - 4; i += 3) {
            if (!_isPoint(proof, i) || proof[i + 2] >= R) return false;
        }
        for (uint256 i = evaluations; i < openings; ++i) {
            if (proof[i] >= R) return false;
        }
        return _isPoint(proof, evaluations - 4) && _isPoint(proof, evaluations - 2) && _isPoint(proof, openings)
            && _isPoint(proof, openings + 2);
    }

    function _isPoint(uint256[] calldata proof, uint256 at) private pure returns (bool) {
        return Kzg.isValid(G1Point(proof[at], proof[at + 1]));
    }

    /// @dev Words of reversed payouts, limbs and multiplicities, with which a proof begins.
    function _columnWords(uint256 pages) private view returns (uint256) {
        return 2 * pages * (limbs + 2);
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

        uint256 end = at + 4 + 3 * pages;
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

    /// @dev t_H(zeta) = (B1 + alpha B2) / (zeta^n - 1)
    function _rowQuotient(
        Statement calldata statement,
        uint256[] calldata proof,
        Challenges memory c,
        uint256[] memory inverses
    ) private view returns (uint256) {
        uint256 drawn;
        for (uint256 i; i < statement.draws.length; ++i) {
            drawn = addmod(drawn, mulmod(statement.draws[i].amount, inverses[DRAWS + i], R), R);
        }
        uint256 at = _columnWords(statement.pages.length) + 4;
        uint256 paid = R - mulmod(c.beta, statement.total, R);
        for (uint256 j; j < statement.pages.length; ++j) {
            paid = addmod(paid, proof[at + 3 * j + 2], R);
        }

        uint256[] calldata e = proof[at + 3 * statement.pages.length + 4:];
        uint256 step = addmod(addmod(e[5], R - e[4], R), mulmod(drawn, inverses[ROWS], R), R);
        uint256 balance = addmod(mulmod(step, addmod(c.gamma, R - e[2], R), R), R - addmod(e[3], R - BIAS, R), R);
        step = addmod(addmod(e[7], R - e[6], R), mulmod(paid, inverses[ROWS], R), R);
        uint256 payouts = addmod(mulmod(step, addmod(c.gamma, R - e[0], R), R), R - e[1], R);
        return mulmod(addmod(balance, mulmod(c.alpha, payouts, R), R), inverses[ROWS_VANISHING], R);
    }

    /// @dev t_E(zeta) = sum_j alpha^(2j) (B3_j + alpha B4_j) / (zeta^M - 1)
    function _pageQuotient(
        uint32[] calldata pages,
        uint256[] calldata proof,
        Challenges memory c,
        uint256[] memory inverses
    ) private view returns (uint256 sum) {
        uint256 at = _columnWords(pages.length) + 4;
        uint256[] calldata e = proof[at + 3 * pages.length + 4:];
        uint256 alphaPower = 1;
        PageSteps memory page;
        (page.alpha, page.beta, page.weight) = (c.alpha, c.beta, 1);
        for (uint256 j; j < pages.length; ++j) {
            page.gamma = addmod(c.gamma, R - uint256(pages[j]) * pageSize, R);
            page.weight = mulmod(page.weight, c.delta, R);
            page.step = mulmod(proof[at + 3 * j + 2], inverses[PAGE_SIZE], R);
            page.fromIdentity = addmod(page.gamma, R - e[FIXED_EVALUATIONS - 1], R);
            uint256 start = FIXED_EVALUATIONS + j * (limbs + 4);
            uint256 identities = _pageIdentities(e[start:start + limbs + 4], page);
            sum = addmod(sum, mulmod(alphaPower, identities, R), R);
            alphaPower = mulmod(alphaPower, mulmod(c.alpha, c.alpha, R), R);
        }
        sum = mulmod(sum, inverses[PAGE_VANISHING], R);
    }

    /// @dev B3_j + alpha B4_j
    /// @param e payout, limbs, multiplicity, accumulator at zeta and v zeta
    function _pageIdentities(uint256[] calldata e, PageSteps memory page) private view returns (uint256 sum) {
        (uint256 product, uint256 others, uint256 composed) = _limbProducts(e[1:e.length - 3], page.gamma);
        uint256 last = e.length - 1;

        sum = addmod(addmod(e[last], R - e[last - 1], R), page.step, R);
        sum = mulmod(sum, page.fromIdentity, R);
        uint256 paid = mulmod(e[0], addmod(1, mulmod(page.beta, page.fromIdentity, R), R), R);
        sum = addmod(sum, R - paid, R);
        sum = addmod(sum, mulmod(page.weight, e[last - 2], R), R);
        sum = mulmod(sum, product, R);

        uint256 lookup = mulmod(page.weight, mulmod(page.fromIdentity, others, R), R);
        sum = addmod(sum, R - lookup, R);
        sum = addmod(sum, mulmod(page.alpha, addmod(e[0], R - composed, R), R), R);
    }

    /// @dev Q, the sum of Q / (gamma - l) over the limbs, and what the limbs compose.
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

    /// @dev The verification equation of section 7.
    function _opens(Statement calldata statement, uint256[] calldata proof, Openings memory o)
        private
        view
        returns (bool)
    {
        uint256 pages = statement.pages.length;
        uint256 accumulators = _columnWords(pages);
        uint256[] calldata evaluations = proof[accumulators + 3 * pages + 8:];

        _openRows(o, statement.ledger, proof[accumulators:], evaluations);
        _openQuotients(o, proof[accumulators + 3 * pages + 4:], evaluations[FIXED_EVALUATIONS - 1]);
        for (uint256 j; j < pages; ++j) {
            uint256 at = FIXED_EVALUATIONS + j * (limbs + 4);
            _openColumns(o, statement.payouts[j], proof[2 * j * (limbs + 2):], evaluations[at:]);
            _openAccumulator(o, proof[accumulators + 4 + 3 * j:], evaluations[at + limbs + 2:]);
            _openReversed(o, proof[2 * j * (limbs + 2):], evaluations[at]);
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

        for (uint256 i; i < 2; ++i) {
            opened = mulmod(e[4 + 2 * i], o.inverses[ROWS_WEIGHTS], R);
            opened = addmod(opened, mulmod(e[5 + 2 * i], o.inverses[ROWS_WEIGHTS + 1], R), R);
            _take(o, accumulators[2 * i], accumulators[2 * i + 1], o.inverses[ROWS_SET], opened);
        }
    }

    function _openQuotients(Openings memory o, uint256[] calldata quotients, uint256 identityAt) private view {
        _takeAtZeta(o, quotients[0], quotients[1], o.quotients[0]);
        _takeAtZeta(o, quotients[2], quotients[3], o.quotients[1]);
        _takeAtZeta(o, _identityX, _identityY, identityAt);
    }

    /// @param columns reversed payouts, limbs, multiplicities
    /// @param e payout, limbs, multiplicity
    function _openColumns(Openings memory o, G1Point calldata payouts, uint256[] calldata columns, uint256[] calldata e)
        private
        view
    {
        _takeAtZeta(o, payouts.x, payouts.y, e[0]);
        for (uint256 i = 1; i < limbs + 2; ++i) {
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
