import torch
from torch import nn


# EVOLVE-BLOCK-START model
def make_model():
    return nn.Sequential(
        nn.Linear(10, 8),
        nn.Tanh(),
        nn.Linear(8, 1),
    )
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START training
def train(model, inputs, targets, training):
    batch_size = 32
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    training.make_resumable(model, optimizer)
    while training.has_time():
        picked = torch.randint(len(inputs), (batch_size,))
        loss = nn.functional.mse_loss(model(inputs[picked]), targets[picked])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        training.step(loss)
# EVOLVE-BLOCK-END
