def evaluate(model, processor, samples, data, labels):
    return {"body_part_auc": 0.5}
