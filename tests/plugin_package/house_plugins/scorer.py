from evaluations.scorers.base import Scored, ScorerConfigError


class ShorterThan:
    """Passes answers of fewer characters than the plan allows."""

    key, version, binary, scores_truncated = "shorter_than", "1", True, False

    def validate(self, config):
        if set(config) != {"characters"} or type(config["characters"]) is not int:
            raise ScorerConfigError("'characters' must be a whole number, and nothing else is known")

    def score(self, answer, config):
        return Scored(float(len(answer.text) < config["characters"]))
