"""Wrong and other right answers about the game of discriminator and generator."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dgm_ref.catalogue import EPSILONS, mistake, variant

BEST, JS, D_LOSS, G_LOSS = "gan.optimal_discriminator", "gan.jensen_shannon", "gan.discriminator_loss", "gan.generator_loss"
BEST_BY_HAND, BEST_LITTLE = "test_the_best_discriminator_known_by_hand", "test_the_best_discriminator_where_there_is_little_mass"
JS_BY_HAND, JS_BATCHES = "test_jensen_shannon_divergences_known_by_hand", "test_jensen_shannon_broadcasts_over_the_leading_axes"
JS_ZEROS, JS_FREE = "test_jensen_shannon_divergences_with_values_without_mass", "test_values_without_mass_cost_nothing"
D_BY_HAND, D_FAR = "test_the_discriminators_loss_known_by_hand", "test_the_discriminators_loss_holds_for_logits_of_any_size"
D_SLOPE = "test_the_slope_of_the_loss_is_the_discriminators_error"
G_BY_HAND, G_FAR = "test_the_generators_losses_known_by_hand", "test_the_generators_loss_holds_for_logits_of_any_size"
G_SLOPE = "test_only_the_other_loss_has_a_slope_where_the_discriminator_is_sure"


@mistake(BEST, killed_by=BEST_BY_HAND, says="This is the share of the generator. D is the probability that a point is real.")
def share_of_the_generator(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return p_theta / (p_data + p_theta)


@mistake(
    BEST, killed_by=BEST_BY_HAND, says="These are the odds p_data / p_theta. The probability is the share p_data / (p_data + p_theta)."
)
def odds(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return p_data / p_theta


@mistake(BEST, killed_by=BEST_BY_HAND, says="This is a hard decision. The best discriminator says how likely a point is real.")
def hard_decision(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return (p_data > p_theta).to(p_data.dtype)


@mistake(BEST, killed_by=BEST_BY_HAND, says="Where neither law has mass there is no answer: nan, not 1/2.")
def half_where_nothing_is(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return torch.nan_to_num(p_data / (p_data + p_theta), nan=0.5)


@mistake(BEST, killed_by=BEST_LITTLE, says="A small number in the denominator swallows tiny probabilities.")
def epsilon_in_the_denominator(p_data: Tensor, p_theta: Tensor) -> Tensor:
    both = p_data + p_theta
    return torch.where(both > 0, p_data / (both + 1e-12), math.nan)


@mistake(
    BEST,
    killed_by=BEST_BY_HAND,
    says="You make the values sum to one. A discriminator says for each point how likely it is real; that is no pmf.",
)
def discriminator_normalised(p_data: Tensor, p_theta: Tensor) -> Tensor:
    best = p_data / (p_data + p_theta)
    return best / best.nansum()


@mistake(BEST, killed_by=BEST_BY_HAND, says="You divide by the mean of the two laws. The share is taken of their sum.")
def share_of_the_middle(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return p_data / ((p_data + p_theta) / 2)


@mistake(BEST, killed_by=BEST_BY_HAND, says="You divide by the mass of all values. At each point the two laws are compared there alone.")
def share_of_all_mass(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return p_data / (p_data + p_theta).sum()


@mistake(BEST, killed_by=BEST_BY_HAND, says="This is the sigmoid of the difference. It is that of the log-ratio, log p_data - log p_theta.")
def sigmoid_of_the_difference(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return torch.sigmoid(p_data - p_theta)


@mistake(BEST, killed_by=BEST_BY_HAND, says="This is the logarithm of the probability.")
def log_of_the_share(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return (p_data / (p_data + p_theta)).log()


@mistake(
    BEST,
    killed_by=BEST_LITTLE,
    says="You take masses below 10^-30 for none. They are masses: only their share counts.",
    when=lambda p_data, p_theta: ((p_data + p_theta > 0) & (p_data + p_theta < 1e-30)).any(),
)
def nothing_known_below_a_threshold(p_data: Tensor, p_theta: Tensor) -> Tensor:
    total = p_data + p_theta
    return torch.where(total < 1e-30, torch.nan, p_data / total)


@mistake(
    BEST,
    killed_by=BEST_BY_HAND,
    says="A small number in the denominator swallows tiny probabilities, and makes 0 of 0 / 0, which is nan here.",
)
def small_number_in_the_denominator(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return p_data / (p_data + p_theta + 1e-8)


@mistake(BEST, killed_by=BEST_BY_HAND, says="Where neither law has mass there is no answer: nan, not 0.")
def zero_where_nothing_is(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return torch.where(p_data + p_theta > 0, p_data / (p_data + p_theta), 0.0)


@mistake(BEST, killed_by=BEST_BY_HAND, says="There is a factor 1/2 that the share does not have.")
def half_of_the_share(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return p_data / (p_data + p_theta) / 2


@mistake(BEST, killed_by=BEST_LITTLE, says="You hold the share away from 0 and 1. A share of 10^-12 is one, and so is one of 1 - 10^-12.")
def share_held_away_from_the_ends(p_data: Tensor, p_theta: Tensor) -> Tensor:
    share = p_data / (p_data + p_theta)
    return torch.where((share == 0) | (share == 1), share, share.clamp(1e-7, 1 - 1e-7))


@mistake(BEST, killed_by=BEST_BY_HAND, says="This is the log-ratio, the best logit. The probability is its sigmoid.")
def best_logit(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return p_data.log() - p_theta.log()


@variant(BEST)
def best_by_the_odds(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return p_data.div(p_data.add(p_theta))


@variant(BEST)
def best_by_stacking(p_data: Tensor, p_theta: Tensor) -> Tensor:
    both = torch.stack([p_data, p_theta])
    return (both / both.sum(0))[0]


@variant(BEST)
def best_value_by_value(p_data: Tensor, p_theta: Tensor) -> Tensor:
    return torch.stack([p / (p + q) for p, q in zip(p_data, p_theta, strict=True)])


# -- jensen_shannon --


def _kl(p: Tensor, q: Tensor) -> Tensor:
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1)


@mistake(JS, killed_by=JS_BY_HAND, says="The halves are missing: the divergence is the mean of two, not their sum.")
def js_without_halves(p: Tensor, q: Tensor) -> Tensor:
    return _kl(p, (p + q) / 2) + _kl(q, (p + q) / 2)


@mistake(JS, killed_by=JS_BY_HAND, says="These are bits. Divergences here are in nats: take the natural logarithm.")
def js_in_bits(p: Tensor, q: Tensor) -> Tensor:
    return js_without_halves(p, q) / 2 / math.log(2)


@mistake(JS, killed_by=JS_BY_HAND, says="This is the root of the divergence, the Jensen-Shannon distance (as in scipy).")
def js_distance(p: Tensor, q: Tensor) -> Tensor:
    return (js_without_halves(p, q) / 2).clamp(min=0).sqrt()


@mistake(
    JS,
    killed_by=JS_BATCHES,
    says="The axis of a batch of one is dropped. Only the last axis is summed over.",
    green_at_home="The public batches have two pmfs or more.",
)
def js_without_single_axes(p: Tensor, q: Tensor) -> Tensor:
    return (js_without_halves(p, q) / 2).squeeze()


@mistake(JS, killed_by=JS_BY_HAND, says="This is the divergence of p from the middle alone. That of q belongs to it, too.")
def first_half_alone(p: Tensor, q: Tensor) -> Tensor:
    return _kl(p, (p + q) / 2)


@mistake(
    JS,
    killed_by=JS_BY_HAND,
    says="This is the mean of KL(p||q) and KL(q||p). Each law is compared with the middle, not with the other one.",
)
def jeffreys(p: Tensor, q: Tensor) -> Tensor:
    return (_kl(p, q) + _kl(q, p)) / 2


@mistake(JS, killed_by=JS_BY_HAND, says="The middle is the first argument of your divergences. It is the second: KL(p || middle).")
def middle_first(p: Tensor, q: Tensor) -> Tensor:
    return (_kl((p + q) / 2, p) + _kl((p + q) / 2, q)) / 2


@mistake(JS, killed_by=JS_BY_HAND, says="p + q is not halved: the middle of two laws has mass one.")
def middle_not_halved(p: Tensor, q: Tensor) -> Tensor:
    return (_kl(p, p + q) + _kl(q, p + q)) / 2


@mistake(JS, killed_by=JS_ZEROS, says="0 log 0 came out as nan. By convention it is 0: a value without mass costs nothing.")
def js_nan_at_zeros(p: Tensor, q: Tensor) -> Tensor:
    middle = (p + q) / 2
    return 0.5 * (p * (p / middle).log() + q * (q / middle).log()).sum(-1)


@mistake(
    JS,
    killed_by=JS_FREE,
    says="A small number inside the logarithms moves the divergence: use torch.xlogy for 0 log 0.",
    constants=EPSILONS,
)
def js_with_epsilon(p: Tensor, q: Tensor, constant: float = 1e-8) -> Tensor:
    middle = (p + q) / 2 + constant
    return 0.5 * (p * ((p + constant) / middle).log() + q * ((q + constant) / middle).log()).sum(-1)


@mistake(JS, killed_by=JS_BY_HAND, says="You averaged over the values. Their terms carry the weights already: add them up.")
def js_averaged_over_values(p: Tensor, q: Tensor) -> Tensor:
    return js_without_halves(p, q) / 2 / p.shape[-1]


@mistake(JS, killed_by=JS_BY_HAND, says="The whole batch is added up. Each pair of pmfs has its own divergence.")
def js_of_the_batch(p: Tensor, q: Tensor) -> Tensor:
    return (js_without_halves(p, q) / 2).sum()


@mistake(JS, killed_by=JS_ZEROS, says="A value where one of the laws has no mass is left out for both. The other one still pays there.")
def js_where_both_have_mass(p: Tensor, q: Tensor) -> Tensor:
    both, middle = (p > 0) & (q > 0), (p + q) / 2
    terms = (torch.xlogy(p, p) - torch.xlogy(p, middle) + torch.xlogy(q, q) - torch.xlogy(q, middle)) / 2
    return torch.where(both, terms, 0.0).sum(-1)


@mistake(JS, killed_by=JS_BY_HAND, says="This is the total variation, half the summed absolute differences.")
def total_variation(p: Tensor, q: Tensor) -> Tensor:
    return 0.5 * (p - q).abs().sum(-1)


@mistake(JS, killed_by=JS_BY_HAND, says="The sign is turned: the entropy of the middle is the larger one.")
def js_turned_round(p: Tensor, q: Tensor) -> Tensor:
    entropy = lambda r: torch.special.entr(r).sum(-1)  # noqa: E731
    return 0.5 * (entropy(p) + entropy(q)) - entropy((p + q) / 2)


@mistake(JS, killed_by=JS_BY_HAND, says="The middle is a geometric mean. It is (p + q) / 2.")
def geometric_middle(p: Tensor, q: Tensor) -> Tensor:
    middle = (p * q).sqrt()
    return 0.5 * (_kl(p, middle) + _kl(q, middle))


@mistake(
    JS,
    killed_by=JS_ZEROS,
    says="You leave masses below 10^-7 out. Where the other law has none, one costs log 2 times itself and nothing less.",
    when=lambda p, q: ((p > 0) & (p < 1e-7)).any() or ((q > 0) & (q < 1e-7)).any(),
)
def rare_values_left_out(p: Tensor, q: Tensor) -> Tensor:
    middle = (p + q) / 2
    halves = [torch.where(one > 1e-7, one * (one / middle).log(), 0.0).sum(-1) for one in (p, q)]
    return (halves[0] + halves[1]) / 2


@mistake(JS, killed_by=JS_ZEROS, says="You take divergences below 10^-5 for zero. Laws that differ little have a small one.")
def small_divergences_rounded_to_zero(p: Tensor, q: Tensor) -> Tensor:
    middle = (p + q) / 2
    value = (_kl(p, middle) + _kl(q, middle)) / 2
    return torch.where(value < 1e-5, 0 * value, value)


@mistake(
    JS, killed_by=JS_BY_HAND, says="These are cross-entropies with the middle. Their own entropies are missing: p log p - p log middle."
)
def cross_entropies_with_the_middle(p: Tensor, q: Tensor) -> Tensor:
    middle = (p + q) / 2
    return -0.5 * (torch.xlogy(p, middle) + torch.xlogy(q, middle)).sum(-1)


@variant(JS)
def js_by_entropies(p: Tensor, q: Tensor) -> Tensor:
    H = torch.special.entr
    return (H((p + q) / 2) - (H(p) + H(q)) / 2).sum(-1)


@variant(JS)
def js_by_kl_div(p: Tensor, q: Tensor) -> Tensor:
    p, q = torch.broadcast_tensors(p, q)
    middle = (p + q) / 2
    log_middle = torch.where(middle > 0, middle, 1.0).log()
    return 0.5 * (F.kl_div(log_middle, p, reduction="none") + F.kl_div(log_middle, q, reduction="none")).sum(-1)


@variant(JS)
def js_by_where(p: Tensor, q: Tensor) -> Tensor:
    def half(a: Tensor, b: Tensor) -> Tensor:
        there = a > 0
        return torch.where(there, a * (torch.where(there, 2 * a, 1.0) / torch.where(there, a + b, 1.0)).log(), 0.0)

    return (half(p, q) + half(q, p)).sum(dim=-1).mul(0.5)


@mistake(
    JS,
    killed_by=JS_ZEROS,
    says="Where batches broadcast the values without mass in p are left out for q, too. What q has there counts.",
    when=lambda p, q: p.shape != q.shape,
)
def mass_of_q_alone_left_out(p: Tensor, q: Tensor) -> Tensor:
    middle = (p + q) / 2
    of_q = torch.xlogy(q, q) - torch.xlogy(q, middle)
    if p.shape != q.shape:
        of_q = torch.where(p > 0, of_q, 0.0)
    return (torch.xlogy(p, p) - torch.xlogy(p, middle) + of_q).sum(-1) / 2


# -- discriminator_loss --


@mistake(D_LOSS, killed_by=D_BY_HAND, says="All samples are averaged together. Each half of the loss is an average of its own.")
def averaged_together(real: Tensor, fake: Tensor) -> Tensor:
    return torch.cat([F.softplus(-real), F.softplus(fake)]).mean()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="The two averages are halved. The loss is their sum.")
def halved_loss(real: Tensor, fake: Tensor) -> Tensor:
    return (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2


@mistake(D_LOSS, killed_by=D_BY_HAND, says="The labels are swapped: real samples have the label 1, generated ones 0.")
def labels_swapped(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(real).mean() + F.softplus(-fake).mean()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="The sign is turned: the discriminator minimises this, so the loss is positive.")
def value_of_the_game(real: Tensor, fake: Tensor) -> Tensor:
    return -F.softplus(-real).mean() - F.softplus(fake).mean()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="The samples are added up. Both halves are averages.")
def summed_loss(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real).sum() + F.softplus(fake).sum()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="This is the critic's loss of a Wasserstein GAN, without the logarithms of probabilities.")
def wasserstein_loss(real: Tensor, fake: Tensor) -> Tensor:
    return fake.mean() - real.mean()


@mistake(
    D_LOSS,
    killed_by=D_BY_HAND,
    says="This is the loss of a least-squares GAN: logits are compared with labels. Here D = sigmoid(logit), and logarithms are averaged.",
)
def least_squares_loss(real: Tensor, fake: Tensor) -> Tensor:
    return (real - 1).square().mean() + fake.square().mean()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="The generated samples are missing.")
def real_half_alone(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real).mean()


@mistake(
    D_LOSS,
    killed_by=D_FAR,
    says="Far out an exponential overflows, or a sigmoid is rounded to 0 or 1. Stay with logits: softplus or logsigmoid.",
)
def loss_by_probabilities(real: Tensor, fake: Tensor) -> Tensor:
    return -real.sigmoid().log().mean() - (1 - fake.sigmoid()).log().mean()


@mistake(
    D_LOSS,
    killed_by=D_FAR,
    says="torch's loss for probabilities cuts logarithms off at -100. Hand it logits: binary_cross_entropy_with_logits.",
)
def loss_cut_off(real: Tensor, fake: Tensor) -> Tensor:
    one, zero = torch.ones_like(real), torch.zeros_like(fake)
    return F.binary_cross_entropy(real.sigmoid(), one) + F.binary_cross_entropy(fake.sigmoid(), zero)


@mistake(D_LOSS, killed_by=D_SLOPE, says="The generated logits are detached. It is the samples that are detached before D sees them.")
def fake_detached(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real).mean() + F.softplus(fake.detach()).mean()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="This is the hinge loss, without the logarithms of probabilities.")
def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="The label of real samples is 0.9: label smoothing is not asked for here.")
def smoothed_labels(real: Tensor, fake: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(real, torch.full_like(real, 0.9)) + F.softplus(fake).mean()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="The logits are taken for probabilities. D is their sigmoid.")
def logits_for_probabilities(real: Tensor, fake: Tensor) -> Tensor:
    return -real.clamp(1e-6, 1 - 1e-6).log().mean() - (1 - fake.clamp(1e-6, 1 - 1e-6)).log().mean()


@mistake(D_LOSS, killed_by=D_FAR, says="You clamp the logits. Far out the loss grows with them.")
def clamped_logits(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real.clamp(-50, 50)).mean() + F.softplus(fake.clamp(-50, 50)).mean()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="The generated samples count as real ones. Their term is -log(1 - D).")
def generated_taken_for_real(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real).mean() + F.softplus(-fake).mean()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="The generated half is subtracted. Both halves are added.")
def halves_subtracted(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real).mean() - F.softplus(fake).mean()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="These are bits. Losses here are in nats: take the natural logarithm.")
def loss_in_bits(real: Tensor, fake: Tensor) -> Tensor:
    return (F.softplus(-real).mean() + F.softplus(fake).mean()) / math.log(2)


@mistake(
    D_LOSS,
    killed_by=D_FAR,
    says="You hold logits to 10,000 in size. A larger one on the wrong side costs as much as it is large.",
    when=lambda real_logits, fake_logits: max(real_logits.abs().max(), fake_logits.abs().max()) > 1e4,
)
def logits_held_below_ten_thousand(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return F.softplus(-real_logits.clamp(-1e4, 1e4)).mean() + F.softplus(fake_logits.clamp(-1e4, 1e4)).mean()


@mistake(D_LOSS, killed_by=D_FAR, says="You take log(1 + e^a) for a from a = 8 on. At 10 that is off by e^-10, which float64 holds.")
def a_line_from_eight_on(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return F.softplus(-real_logits, threshold=8).mean() + F.softplus(fake_logits, threshold=8).mean()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="Both sums are divided by the number of real samples. Each half is an average of its own.")
def both_over_the_real_samples(real: Tensor, fake: Tensor) -> Tensor:
    return (F.softplus(-real).sum() + F.softplus(fake).sum()) / len(real)


@mistake(D_LOSS, killed_by=D_BY_HAND, says="The logarithms are missing: probabilities are averaged.")
def probabilities_averaged(real: Tensor, fake: Tensor) -> Tensor:
    return fake.sigmoid().mean() - real.sigmoid().mean()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="The generated half is log D. It is -log(1 - D).")
def log_d_of_the_generated(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real).mean() - F.softplus(-fake).mean()


@mistake(
    D_LOSS,
    killed_by=D_FAR,
    says="The probabilities are held away from 0 and 1. Where the discriminator is sure and wrong the loss must go on growing.",
    constants=EPSILONS,
)
def loss_of_clamped_probabilities(real: Tensor, fake: Tensor, constant: float = 1e-7) -> Tensor:
    held = [torch.sigmoid(logits).clamp(constant, 1 - constant) for logits in (real, fake)]
    return -held[0].log().mean() - (1 - held[1]).log().mean()


@mistake(D_LOSS, killed_by=D_BY_HAND, says="The sigmoid is taken twice: binary_cross_entropy_with_logits takes logits, not probabilities.")
def loss_of_two_sigmoids(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real.sigmoid()).mean() + F.softplus(fake.sigmoid()).mean()


@variant(D_LOSS)
def loss_by_binary_cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    bce = F.binary_cross_entropy_with_logits
    return bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))


@variant(D_LOSS)
def loss_by_log_sigmoid(real: Tensor, fake: Tensor) -> Tensor:
    return -F.logsigmoid(real).mean() - F.logsigmoid(-fake).mean()


@variant(D_LOSS)
def loss_by_logaddexp(real: Tensor, fake: Tensor) -> Tensor:
    return torch.logaddexp(-real, torch.zeros_like(real)).mean() + torch.logaddexp(fake, torch.zeros_like(fake)).mean()


@variant(D_LOSS)
def loss_by_the_stable_formula(real: Tensor, fake: Tensor) -> Tensor:
    def softplus(logits: Tensor) -> Tensor:
        return logits.clamp(min=0) + torch.log1p(torch.exp(-logits.abs()))

    return softplus(-real).mean() + softplus(fake).mean()


# -- generator_loss --


@mistake(G_LOSS, killed_by=G_BY_HAND, says="The two losses are swapped: the saturating one is the mean of log(1 - D).")
def losses_swapped(fake: Tensor, saturating: bool) -> Tensor:
    return F.softplus(-fake).mean() if saturating else -F.softplus(fake).mean()


@mistake(
    G_LOSS,
    killed_by=G_BY_HAND,
    says="The saturating loss has the wrong sign: the generator minimises the mean of log(1 - D), which is negative.",
)
def saturating_with_a_minus(fake: Tensor, saturating: bool) -> Tensor:
    return F.softplus(fake).mean() if saturating else F.softplus(-fake).mean()


@mistake(G_LOSS, killed_by=G_BY_HAND, says="The flag is ignored: with saturating=True the game's own loss is asked for.")
def never_saturating(fake: Tensor, saturating: bool) -> Tensor:
    return F.softplus(-fake).mean()


@mistake(G_LOSS, killed_by=G_BY_HAND, says="The samples are added up. The loss is their average.")
def generator_summed(fake: Tensor, saturating: bool) -> Tensor:
    return -F.softplus(fake).sum() if saturating else F.softplus(-fake).sum()


@mistake(G_LOSS, killed_by=G_BY_HAND, says="You maximise: the signs of both losses are turned.")
def generator_maximises(fake: Tensor, saturating: bool) -> Tensor:
    return F.softplus(fake).mean() if saturating else -F.softplus(-fake).mean()


@mistake(G_LOSS, killed_by=G_FAR, says="A sigmoid is rounded to 0 or 1 far out, and its logarithm is infinite. Stay with logits.")
def generator_by_probabilities(fake: Tensor, saturating: bool) -> Tensor:
    return (1 - fake.sigmoid()).log().mean() if saturating else -fake.sigmoid().log().mean()


@mistake(
    G_LOSS,
    killed_by=G_FAR,
    says="A small number inside the logarithm cuts the loss off where the discriminator is sure.",
    constants=EPSILONS,
)
def generator_with_epsilon(fake: Tensor, saturating: bool, constant: float = 1e-8) -> Tensor:
    D = fake.sigmoid()
    return (1 - D + constant).log().mean() if saturating else -(D + constant).log().mean()


@mistake(G_LOSS, killed_by=G_SLOPE, says="Clamped logits have no slope: a generator that is easily told apart learns nothing.")
def clamped_logits_in_the_slope(fake: Tensor, saturating: bool) -> Tensor:
    value = -F.softplus(fake).mean() if saturating else F.softplus(-fake).mean()
    clamped = fake.clamp(-50, 50)
    slope = -F.softplus(clamped).mean() if saturating else F.softplus(-clamped).mean()
    return value.detach() + slope - slope.detach()


@mistake(G_LOSS, killed_by=G_BY_HAND, says="The flag is ignored: with saturating=False the other loss is asked for.")
def always_saturating(fake: Tensor, saturating: bool) -> Tensor:
    return -F.softplus(fake).mean()


@mistake(G_LOSS, killed_by=G_BY_HAND, says="The saturating loss has log D in it. It is the mean of log(1 - D).")
def log_d_for_saturating(fake: Tensor, saturating: bool) -> Tensor:
    return F.logsigmoid(fake).mean() if saturating else F.softplus(-fake).mean()


@mistake(G_LOSS, killed_by=G_BY_HAND, says="The other loss lacks its minus: the generator minimises -log D.")
def other_loss_without_its_minus(fake: Tensor, saturating: bool) -> Tensor:
    return -F.softplus(fake).mean() if saturating else F.logsigmoid(fake).mean()


@mistake(G_LOSS, killed_by=G_BY_HAND, says="This is the generator's loss of a Wasserstein GAN, without the logarithms of probabilities.")
def generator_of_a_critic(fake: Tensor, saturating: bool) -> Tensor:
    return -fake.mean()


@mistake(G_LOSS, killed_by=G_BY_HAND, says="The logits are averaged before the logarithm. Average the losses.")
def loss_of_the_mean_logit(fake: Tensor, saturating: bool) -> Tensor:
    return -F.softplus(fake.mean()) if saturating else F.softplus(-fake.mean())


@mistake(
    G_LOSS,
    killed_by=G_FAR,
    says="You hold logits to 10,000 in size. A larger one on the wrong side costs as much as it is large.",
    when=lambda fake_logits: fake_logits.abs().max() > 1e4,
)
def generator_logits_held_below_ten_thousand(fake_logits: Tensor, saturating: bool) -> Tensor:
    a = fake_logits.clamp(-1e4, 1e4)
    return -F.softplus(a).mean() if saturating else F.softplus(-a).mean()


@mistake(G_LOSS, killed_by=G_FAR, says="You take log(1 + e^a) for a from a = 8 on. At 10 that is off by e^-10, which float64 holds.")
def a_line_from_eight_on_for_the_generator(fake_logits: Tensor, saturating: bool) -> Tensor:
    return -F.softplus(fake_logits, threshold=8).mean() if saturating else F.softplus(-fake_logits, threshold=8).mean()


@mistake(G_LOSS, killed_by=G_BY_HAND, says="The other loss is -log(1 - D). It is -log D.")
def other_loss_of_the_discriminator(fake: Tensor, saturating: bool) -> Tensor:
    return -F.softplus(fake).mean() if saturating else F.softplus(fake).mean()


@mistake(G_LOSS, killed_by=G_BY_HAND, says="The logarithms are missing: probabilities are averaged.")
def generator_without_logarithms(fake: Tensor, saturating: bool) -> Tensor:
    return (1 - fake.sigmoid()).mean() if saturating else -fake.sigmoid().mean()


@mistake(G_LOSS, killed_by=G_BY_HAND, says="Probabilities are averaged before the logarithm. Average the logarithms.")
def generator_log_of_the_mean(fake: Tensor, saturating: bool) -> Tensor:
    D = torch.sigmoid(fake.double())
    return ((1 - D).mean().log() if saturating else -D.mean().log()).to(fake.dtype)


@mistake(G_LOSS, killed_by=G_SLOPE, says="The loss has lost its graph: the generator learns through these logits.")
def generator_detached(fake: Tensor, saturating: bool) -> Tensor:
    fake = fake.detach()
    return -F.softplus(fake).mean() if saturating else F.softplus(-fake).mean()


@mistake(G_LOSS, killed_by=G_BY_HAND, says="The sigmoid is taken twice: binary_cross_entropy_with_logits takes logits, not probabilities.")
def generator_of_two_sigmoids(fake: Tensor, saturating: bool) -> Tensor:
    D = torch.sigmoid(fake)
    return -F.softplus(D).mean() if saturating else F.softplus(-D).mean()


@variant(G_LOSS)
def generator_by_log_sigmoid(fake: Tensor, saturating: bool) -> Tensor:
    return F.logsigmoid(-fake).mean() if saturating else -F.logsigmoid(fake).mean()


@variant(G_LOSS)
def generator_by_binary_cross_entropy(fake: Tensor, saturating: bool) -> Tensor:
    label = torch.full_like(fake, 0.0 if saturating else 1.0)
    loss = F.binary_cross_entropy_with_logits(fake, label)
    return -loss if saturating else loss


@variant(G_LOSS)
def generator_sample_by_sample(fake: Tensor, saturating: bool) -> Tensor:
    sign = 1 if saturating else -1
    return -sign * torch.stack([torch.logaddexp(sign * a, torch.zeros_like(a)) for a in fake]).sum() / len(fake)


@mistake(G_LOSS, killed_by=G_FAR, says="Small losses are taken for none. A logit of 14 on the right side costs e^-14.")
def small_losses_dropped(fake_logits: Tensor, saturating: bool) -> Tensor:
    losses = -F.softplus(fake_logits) if saturating else F.softplus(-fake_logits)
    return torch.where(losses.abs() < 1e-5, 0.0, losses).mean()


@variant(G_LOSS)
def generator_by_the_stable_formula(fake: Tensor, saturating: bool) -> Tensor:
    logits = fake if saturating else -fake
    loss = (torch.relu(logits) + torch.log1p(torch.exp(-logits.abs()))).mean()
    return -loss if saturating else loss
