"""What happens in each package, why, and the line to change: a paragraph a script, for its user."""

__all__ = ["PAGES", "PARAGRAPHS"]

#: The page of each script's package in docs/hosts, where there is one; by default the script's name up to "_".
PAGES = {"drvi_drvi": "scvi", "vamb": "any-package"}

PARAGRAPHS = {
    "cornac": (
        "No collapse on MovieLens: all ten dimensions are in use. With λ released over the last third VAECF "
        "ranks better at the same bound on unseen people, which neither the best β nor a KL warm-up does: "
        "`with equalize_cornac(model, 1.05, release_epochs=33): model.fit(...)`."
    ),
    "cornac_bivae": (
        "No collapse: users and items keep their ten dimensions each. λ on both sides makes the bound of "
        "unseen users better by a few nats; NDCG does not change beyond its spread under any remedy."
    ),
    "ctgan": (
        'Of 128 dimensions some 77 are "active", nearly all of them hardly: σ is above 0.9 in 124, and ten '
        "directions carry everything. What hurts is `sample()`, which takes the most probable level of every "
        "category: pair trends 0.69, with the categories drawn from the same decoder 0.77. The lines to "
        "change: `with drawn_categories(model): model.sample(n)`, and `embedding_dim=16`, which is better by "
        "`sample()` at the same bound. λ raises the score of `sample()`, because more is told by z and less "
        "lost by the argmax; drawn, it gains nothing, as the bound says, 2 nats worse. A KL warm-up gains as "
        "much at no cost in bound."
    ),
    "ctm": (
        "A BatchNorm gives every μ a variance of 1, so all 50 topics look active; about 24 directions move. "
        "No setting raises NPMI by more than its spread. λ makes topics more diverse (and `nll_iw` better), "
        "at no gain in coherence."
    ),
    "disent": (
        "All ten dimensions die on its own colour squares. The loss is a mean over pixels plus β times a mean "
        "over latents: at β = 0.003 a noise of 0.34 here. Eight directions of the data exceed it, but the KL "
        "wins first. The line to change: `BetaVae.cfg(beta=0.0003)`, with which all ten live and the squared "
        "error falls by a sixth. A KL warm-up and λ wake some at the old β, at a worse bound, and the squared "
        "error falls by less. MIG is no judge: it stays at 0.01 to 0.03 in every run, where dead codes have "
        "it too."
    ),
    "drvi_drvi": (
        "About half of 32 dimensions are in use, as its own count of vanished ones says. λ or a KL weight of 0.5 keep "
        "nearly all alive and raise its disentanglement score by 0.04, at a bound 3 nats worse; a warm-up of 267 "
        "epochs raises it by 0.02 at no cost. On pure noise the score is 0.31, so small gains mean little."
    ),
    "lerobot_act": (
        "Every latent dies: `kl_weight = 10` stands against a *mean* over the chunk, which is a Laplace noise "
        "of 10 times as many numbers as it has. `kl_weight=0.01` wakes some, and near 1/n none woke here. But "
        "the policy acts with z = 0, where a living z is missing: its error there rises from 0.19 to 0.37. "
        "The dead latents are right for a policy that is never told a z; lower the weight only if you choose "
        "z otherwise. λ wakes nothing here."
    ),
    "mlcolvar": (
        "Both variables die where the data's spread is small in their own units. Inputs are normalised, but "
        "the error is taken in the data's units as a mean over F features beside the KL, so a noise of √(β "
        "F/2) is assumed: 3.7 for 28 distances whose strongest direction varies by 0.58. The line to change: "
        "`beta = 2 * s**2 / F` for a noise s. A warm-up or λ at that β changes nothing more; at β = 1 neither "
        "wakes anything."
    ),
    "monai_kl": (
        "No collapse: a mean L1 beside 10⁻⁶ KL stands for a Laplace noise of F × 10⁻⁶ for F voxels, 0.00026 "
        "here, so the same weight is another model at another image size. That noise is far below what the "
        "decoder errs by, so the valid bound is 47,000 nats; at a KL weight of 10⁻⁴ it is −200, samples are "
        "three times nearer to the data, and SSIM falls by 0.02."
    ),
    "monai_var": (
        "The loss is yours. The tutorial's `beta = 100` leaves hardly any code on MNIST; with `beta = 1` both "
        "dimensions live and the bound is some 30 nats better. Warm-up and λ do nothing at 100. The default "
        'instance norm hides brightness: `norm="BATCH"`.'
    ),
    "multivae_jmvae": (
        "All ten dimensions die: each modality is a normal of standard deviation 1, as wide as pixels in [0, "
        "1], and no direction of the digits is wider. One half generated from the other is then right as "
        'often as by chance. The line to change: `decoder_dist_params={"top": {"scale": 0.1}, "bottom": '
        '{"scale": 0.1}}`. λ at the default noise wakes one or two, at a worse bound: a little more '
        "coherence, and no remedy."
    ),
    "multivae_mvae": (
        "As JMVAE: the noise of 1 forbids every dimension, and the scale is the line to change. λ wakes nothing here."
    ),
    "pyg": (
        "About half the units die; the rest share four directions. The KL weight of 1/N keeps codes alive, "
        "`kl_loss()` in full kills them. AUC cannot see it: it ranks products of μ at whatever scale, and is "
        "as high with every dimension dead, while the reconstruction loss is that of chance and the bound 66 "
        "nats a node worse. Look at the `recon_loss` of unseen edges. λ keeps twice as many units, in the "
        "same four directions, and gains nothing."
    ),
    "pyod": (
        "No collapse, for there is no KL: `capacity=0` clamps it away, and `beta` changes nothing. Switched "
        'on with `capacity=float("inf")` everything dies at β = 1, since a mean over F standardised features '
        "assumes a noise variance of F/2; β = 2 s²/F makes it s². What raises the scores here is training "
        "longer than 30 epochs; λ adds nothing to that."
    ),
    "pythae": (
        "All ten dimensions die on grey digits: half a summed squared error is a noise of 1, wider than any "
        "direction of the data (0.84). The line to change: `BetaVAEConfig(beta=0.03)`, which is a noise of "
        '0.17, or `reconstruction_loss="bce"`. Scaling the data fails with the default decoder, which ends in '
        "a sigmoid. Under λ the Fréchet distance of samples falls too, but the bound is worse and the "
        "reconstructions of the released model are: the distance rewards any variance that samples have."
    ),
    "recbole": (
        "MultiVAE draws 0.01 σ, charges σ, and hardly reaches its KL weight: by default it is a plain "
        "autoencoder, and all 64 dimensions move. With the noise that it charges and a KL weight of 0.2 the "
        "bound is better by one or two nats; NDCG and recall do not change beyond their spread under any "
        "remedy, λ and a tuned β among them."
    ),
    "scvi_peakvi": (
        "Between none and all of five dimensions are in use, by the seed. It is no KL that kills them, for "
        "that weighs 1/128: with 420 cells the default training ends before the decoder has learned. The line "
        "to change: `model.train(lr=1e-3)`: all five in use, kNN accuracy 0.54 → 0.75, and a bound 45 nats "
        "better. A longer warm-up does nothing; λ a little."
    ),
    "scvi_scvi": (
        "No collapse with ten dimensions. λ, a longer warm-up and other KL weights gain nothing. PBMCs pay "
        "for about ten: with `n_latent=30` and no warm-up 24 lie near the prior, at the best bound."
    ),
    "torchrl_act": (
        "As in LeRobot: `kl_weight=10` against a mean over T·A numbers, so every latent dies, and a policy "
        "that acts with z = 0 is better off for it: with `kl_weight=0.01` its error there rises from 0.25 to "
        "0.36, while the bound improves."
    ),
    "vamb": (
        "No collapse: σ is fixed at 1 and the KL weighs 1/6400, so that all 32 dimensions move. A fixed σ has no λ."
    ),
}
